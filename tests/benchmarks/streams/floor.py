"""The floor: what decoding and the network alone cost, CPU milliseconds, with nothing around them."""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from streamguard.inference import parity_crops, select
from streamguard.models import load
from tests.support.transport import transport_units

_BATCH = 8
_SECONDS = 3.0


def decode_cost(clip: Path) -> float:
    """CPU milliseconds of one picture of the clip, read from memory, decoded by one thread and not looked at.

    All cores decode at once: two that share their units take longer each.
    """
    units, _ = transport_units(clip, 10.0)
    with tempfile.NamedTemporaryFile(suffix=".ts") as file:
        file.write(b"".join(unit for _, unit in units))
        file.flush()
        cores = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(cores) as threads:
            found = list(threads.map(_decoded, [file.name] * cores))
    return sum(spent for spent, _ in found) / max(1, sum(pictures for _, pictures in found)) * 1e3


def _decoded(path: str) -> tuple[float, int]:
    """CPU seconds of this thread, and pictures."""
    start, pictures = time.thread_time(), 0
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    while capture.grab():
        pictures += 1
    capture.release()
    return time.thread_time() - start, pictures


def inference_cost(model: str, engine: str | None, seconds: float = _SECONDS) -> float:
    """CPU milliseconds of one crop in batches of 8, all threads of the engine counted."""
    judged = select(load(model), engine).engine
    try:
        crops = np.resize(parity_crops(), (min(_BATCH, judged.max_batch), 256, 256, 3))
        judged.infer(crops)
        began, start, count = time.monotonic(), time.process_time(), 0
        while time.monotonic() - began < seconds:
            judged.infer(crops)
            count += len(crops)
        return (time.process_time() - start) / count * 1e3
    finally:
        judged.close()

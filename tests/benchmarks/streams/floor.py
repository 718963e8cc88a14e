"""The floor: what decoding and the network alone cost, CPU milliseconds, with nothing around them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from streamguard.inference import parity_crops, select
from streamguard.models import load
from tests.support.transport import transport_units

_BATCH = 8
_SECONDS = 3.0


def decode_cost(clip: Path) -> float:
    """CPU milliseconds of one picture of the clip, read from memory, decoded by one thread and not looked at."""
    units, _ = transport_units(clip, 10.0)
    with tempfile.NamedTemporaryFile(suffix=".ts") as file:
        file.write(b"".join(unit for _, unit in units))
        file.flush()
        capture = cv2.VideoCapture(file.name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        start, pictures = time.process_time(), 0
        while capture.grab():
            pictures += 1
        spent = time.process_time() - start
        capture.release()
    return spent / max(1, pictures) * 1e3


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

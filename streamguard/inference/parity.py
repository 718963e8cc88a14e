"""Verification of an engine against the float32 eager reference, on real crops, before it is kept.

The bar is on what a verdict is made of. A single pixel's largest error is reported and not judged: in half precision
one pixel of a million may move far at a mask's edge, where the probability is steep, without moving a verdict. What
the reference itself would decide otherwise if the threshold moved by `undecided` is held against no engine.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from streamguard.errors import ParityError
from streamguard.files import write_bytes
from streamguard.inference.engine import Engine
from streamguard.models import ModelSpec
from streamguard.types import UInt8Array
from streamguard.verdict import raw_score

_FACE = (145, 35, 170)
"""Left, top and side of the square round the face of scikit-image's portrait, with the margin of a crop."""
REFERENCE = "reference.npz"
"""File beside the weights: the reference's answers on the parity crops, recorded when the detector was made."""
_FLAT = 4
"""A reference whose probabilities span fewer of the 255 steps than this shows no difference between engines."""


@dataclass(frozen=True, slots=True)
class ParityBar:
    """Limits of an engine's distance from the reference.

    Attributes:
        auc_drop: largest loss of frame AUC on labelled crops, 0..1; not held against an engine where nobody knows
            which crops are fake.
        p999_error: largest 99.9th percentile of a pixel's probability error, 0..1. bfloat16 keeps 8 bits of
            mantissa, and a norm within the picture passes its rounding on: `unet_v1` is 0.09 off there, with no
            verdict of the crops changed, and has the same frame AUC to three digits on 1,994 frames.
        iou: smallest intersection over union of the fake pixels of all crops, without undecided pixels, 0..1.
        agreement: smallest share of crops with the same verdict, without undecided crops, 0..1.
        undecided: half width, in probability, of the band round the threshold where the reference is undecided.
    """

    p999_error: float = 0.1
    iou: float = 0.98
    agreement: float = 1.0
    undecided: float = 0.02
    auc_drop: float = 0.005


INT8_BAR = ParityBar(p999_error=0.2, iou=0.97, agreement=0.99)
"""Limits for eight bits, on some hundred real crops. Their rounding moves a mask's edge further than bfloat16's:
`unet_v1` with its most sensitive layers in floats is 0.17 off there at a mask IoU of 0.984, with the same verdicts and
0.002 to 0.004 of frame AUC less; all of it in eight bits is 0.5 off at an IoU of 0.9, and is refused.
"""


@dataclass(frozen=True, slots=True)
class Parity:
    """Comparison of an engine with the reference.

    Attributes:
        max_error, p999_error, mean_error: a pixel's absolute probability error, 0..1.
        mask_iou: intersection over union of the fake pixels of all crops, 0..1.
        verdict_agreement: share of crops with the same verdict, 0..1.
        crops: how many were compared.
        threshold: where masks were cut: the model's threshold, or the middle of the reference's range where the
            model marks (nearly) nothing or everything, or the undecided band round its threshold has but one side.
        auc_drop: loss of frame AUC against the reference; None without labels.
        recorded: the reference's answers were those recorded beside the weights, not computed here.
    """

    max_error: float
    p999_error: float
    mean_error: float
    mask_iou: float
    verdict_agreement: float
    crops: int
    threshold: float
    auc_drop: float | None = None
    recorded: bool = False

    def shortfalls(self, bar: ParityBar) -> tuple[str, ...]:
        """List what misses the bar, in words; empty when it is met."""
        missed = []
        if not self.p999_error <= bar.p999_error:
            missed.append(f"p99.9 error {self.p999_error:.3f} above {bar.p999_error:g}")
        if not self.mask_iou >= bar.iou:
            missed.append(f"mask IoU {self.mask_iou:.3f} below {bar.iou:g}")
        if not self.verdict_agreement >= bar.agreement:
            missed.append(f"verdict agreement {self.verdict_agreement:.3f} below {bar.agreement:g}")
        if self.auc_drop is not None and not self.auc_drop <= bar.auc_drop:
            missed.append(f"frame AUC {self.auc_drop:.4f} lower")
        return tuple(missed)


def check_parity(
    engine: Engine,
    truth: UInt8Array,
    crops: UInt8Array,
    *,
    threshold: float,
    smallest_component: int,
    bar: ParityBar | None = None,
    fake: NDArray[np.bool_] | None = None,
) -> Parity:
    """Run the engine over the crops and hold it to the bar.

    Args:
        engine: the one to verify.
        truth: uint8 [N, size, size], the answers of the float32 reference.
        crops: uint8 [N, size, size, 3] RGB.
        threshold, smallest_component: the model's frame rule.
        bar: how far off is still good.
        fake: bool [M], which of the last M crops are fake, for the frame AUC.

    Raises:
        ParityError: the engine is below the bar, or the reference answers the same everywhere, so that there is
            nothing to compare.
        EngineFailed: the engine failed.
    """
    bar = bar or ParityBar()
    answer = answers(engine, crops)
    parity = compare(answer, truth, threshold, smallest_component, bar.undecided)
    if fake is not None and fake.any() and not fake.all():
        parity = replace(parity, auc_drop=_auc(truth[-len(fake) :], fake) - _auc(answer[-len(fake) :], fake))
    missed = parity.shortfalls(bar)
    if missed:
        thing = f"{engine.name} ({engine.precision} on {engine.device})"
        remedy = "use another engine or precision; `streamguard compile` shows the figures"
        raise ParityError(thing, f"disagrees with the float32 reference: {'; '.join(missed)}", remedy)
    return parity


def compare(
    answer: UInt8Array, truth: UInt8Array, threshold: float, smallest_component: int, undecided: float = 0.02
) -> Parity:
    """The figures of one answer against the reference's; both uint8 [N, H, W].

    Raises:
        ParityError: the reference answers (nearly) the same everywhere.
    """
    marked = float(np.mean(truth > threshold * 255))
    if not (0.001 <= marked <= 0.999 and undecided < threshold < 1 - undecided):
        low, high = int(truth.min()), int(truth.max())
        if high - low < _FLAT:
            cause = f"the reference's probabilities span {low / 255:.3f} to {high / 255:.3f} on all crops"
            raise ParityError("parity crops", f"{cause}: nothing can be verified", "check the model's weights")
        threshold = (low + high) / 2 / 255
    error = np.abs(answer.astype(np.int16) - truth) / 255
    cut, band = threshold * 255, undecided * 255
    decided = np.abs(truth.astype(np.float32) - cut) > band
    both = int(np.sum((answer > cut) & (truth > cut) & decided))
    either = int(np.sum(((answer > cut) | (truth > cut)) & decided))
    agreed = counted = 0
    for mine, theirs in zip(answer, truth, strict=True):
        verdict = _fake(theirs, cut, smallest_component)
        if _fake(theirs, cut - band, smallest_component) == _fake(theirs, cut + band, smallest_component):
            counted += 1
            agreed += verdict == _fake(mine, cut, smallest_component)
    return Parity(
        max_error=float(error.max()),
        p999_error=float(np.quantile(error, 0.999)),
        mean_error=float(error.mean()),
        mask_iou=both / either if either else 1.0,
        verdict_agreement=agreed / counted if counted else 1.0,
        crops=len(truth),
        threshold=threshold,
    )


@cache
def parity_crops(size: int = 256) -> UInt8Array:
    """Twelve crops of a real face, the same on every machine: five variants of it and seven forgeries.

    The picture is scikit-image's portrait (NASA, public domain). The forgeries paste a recoloured, softened,
    shifted, mirrored, sharpened, darkened or compressed face over the true one through a soft ellipse.

    Returns:
        uint8 [12, size, size, 3] RGB, read-only.
    """
    from skimage import data

    left, top, side = _FACE
    portrait = np.asarray(data.astronaut(), dtype=np.uint8)
    real = _scaled(portrait[top : top + side, left : left + side], size)
    blurred = _bytes(cv2.GaussianBlur(real, (0, 0), size / 100))
    variants = [
        real,
        _moved(real, 10, 1.08, (6, -4)),
        _moved(real, -8, 0.95, (-9, 7)),
        blurred,
        _compressed(real, 35),
    ]
    fakes = [
        np.ascontiguousarray(real[..., ::-1]),
        _scaled(_scaled(real, size // 5), size),
        _moved(real, 4, 1.15, (8, 5)),
        real[:, ::-1],
        _bytes(cv2.addWeighted(real, 2.5, blurred, -1.5, 0)),
        _bytes(real * 0.6),
        _compressed(real, 5),
    ]
    crops = np.stack([*variants, *(_pasted(real, fake) for fake in fakes)])
    crops.setflags(write=False)
    return crops


def answers(engine: Engine, crops: UInt8Array) -> UInt8Array:
    """Judge any number of crops: uint8 [N, size, size, 3] RGB -> uint8 [N, size, size]; errors as of `Engine.infer`."""
    # One crop alone, then full batches: both ends of what a free batch dimension was compiled for.
    starts = [0, *range(1, len(crops), engine.max_batch)]
    return np.concatenate([engine.infer(crops[a:b]) for a, b in zip(starts, [*starts[1:], len(crops)], strict=True)])


def record_answers(spec: ModelSpec, reference: Engine) -> None:
    """Write the reference's answers on the parity crops beside the weights: a start need not compute them again.

    Raises:
        OutputError: the folder cannot be written.
    """
    assert spec.folder is not None
    crops, data = parity_crops(spec.size), io.BytesIO()
    np.savez_compressed(data, of=_made_of(spec, crops), answers=answers(reference, crops))
    write_bytes(spec.folder / REFERENCE, data.getvalue())


def recorded_answers(spec: ModelSpec, crops: UInt8Array) -> UInt8Array | None:
    """Read the reference's answers; None where none were recorded for just these weights and crops.

    Another version of OpenCV or its codec makes other crops: the reference is then asked again.
    """
    if spec.folder is None:
        return None
    try:
        with np.load(io.BytesIO((spec.folder / REFERENCE).read_bytes()), allow_pickle=False) as kept:
            if str(kept["of"]) != _made_of(spec, crops):
                return None
            found: UInt8Array = kept["answers"]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
    return found if found.dtype == np.uint8 and found.shape == crops.shape[:3] else None


def _made_of(spec: ModelSpec, crops: UInt8Array) -> str:
    made_of = f"{spec.weights_sha256} {spec.digest} {hashlib.sha256(np.ascontiguousarray(crops).data).hexdigest()}"
    return hashlib.sha256(made_of.encode()).hexdigest()


def _auc(judged: UInt8Array, fake: NDArray[np.bool_]) -> float:
    """The chance that a fake scores above a real one, ties counting half (Hanley and McNeil, 1982)."""
    scores = np.array([raw_score(probability) for probability in judged])
    real, forged = scores[~fake, None], scores[fake]
    return float(np.mean((forged > real) + 0.5 * (forged == real)))


def _fake(probability: UInt8Array, cut: float, smallest_component: int) -> bool:
    mask = (probability > cut).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return bool((stats[1:, cv2.CC_STAT_AREA] > smallest_component).any())


def _bytes(picture: NDArray[Any]) -> UInt8Array:
    rounded: UInt8Array = np.rint(picture).astype(np.uint8)
    return rounded


def _scaled(picture: UInt8Array, size: int) -> UInt8Array:
    way = cv2.INTER_AREA if size < len(picture) else cv2.INTER_CUBIC
    return _bytes(cv2.resize(picture, (size, size), interpolation=way))


def _moved(picture: UInt8Array, degrees: float, scale: float, shift: tuple[float, float]) -> UInt8Array:
    size = len(picture)
    affine = np.asarray(cv2.getRotationMatrix2D((size / 2, size / 2), degrees, scale), dtype=np.float64)
    affine[:, 2] += np.array(shift) * size / 256
    return _bytes(cv2.warpAffine(picture, affine, (size, size), borderMode=cv2.BORDER_REFLECT_101))


def _compressed(picture: UInt8Array, quality: int) -> UInt8Array:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), dtype=np.uint8)


def _pasted(real: UInt8Array, fake: UInt8Array) -> UInt8Array:
    size = len(real)
    mask = np.zeros((size, size), np.float32)
    axes = (round(size * 0.26), round(size * 0.33))
    cv2.ellipse(mask, (size // 2, round(size * 0.53)), axes, 0, 0, 360, 1.0, -1)
    alpha = cv2.GaussianBlur(mask, (0, 0), size / 64)[..., None]
    return _bytes(real * (1 - alpha) + fake * alpha)

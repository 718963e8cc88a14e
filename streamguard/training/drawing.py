"""Batches of patches drawn from packs: balanced by set, program and group; real and fake of a pair side by side."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from streamguard.errors import DataError
from streamguard.training.augment import apply_levels, blurred, degraded, hide_region, levels, mix
from streamguard.training.pack import CropPack
from streamguard.training.recipe import Recipe, SourceTable
from streamguard.training.selfblend import mouth_blend, self_blend
from streamguard.types import Float64Array, FloatArray, UInt8Array

COARSE = 2
"""The networks' logits, and so the truth, have half the side of the patch."""
TWICE_RESAMPLED = 0.5
"""Share of the patches that are enlarged to the live crop and brought down again, as a small face is live."""
LIVE_SIDE = 256
LEAST_MIX = 0.15


@dataclass(frozen=True, slots=True)
class DrawnBatch:
    """Batch that one step learns from.

    Attributes:
        pixels: uint8 [2N, P, P, 3] RGB; the real and the fake one of a pair behind each other.
        truth: float32 [2N, P / 2, P / 2], how fake each place is, 0..1.
        taught: float32 [2N, P / 2, P / 2], 1 where the truth is known.
        label: float32 [2N], how fake the picture is, 0..1; NaN where it is neither clearly fake nor real.
    """

    pixels: UInt8Array
    truth: FloatArray
    taught: FloatArray
    label: FloatArray


@dataclass(frozen=True, slots=True)
class _Ref:
    pack: int
    number: int


class _Choice:
    """Draws examples: programs alike often, groups by the square root of their size, examples of a group alike."""

    def __init__(self, packs: Sequence[CropPack], refs: list[_Ref]) -> None:
        self.refs = refs
        programs = [str(packs[ref.pack].program[ref.number]) for ref in refs]
        self.groups = [str(packs[ref.pack].group[ref.number]) for ref in refs]
        sizes: defaultdict[tuple[str, str], int] = defaultdict(int)
        for key in zip(programs, self.groups, strict=True):
            sizes[key] += 1
        totals: defaultdict[str, float] = defaultdict(float)
        for (program, _), size in sizes.items():
            totals[program] += math.sqrt(size)
        weights = [
            1 / math.sqrt(sizes[program, group]) / totals[program]
            for program, group in zip(programs, self.groups, strict=True)
        ]
        self._cumulative = np.cumsum(weights)
        self._of_group: defaultdict[str, list[int]] = defaultdict(list)
        for number, group in enumerate(self.groups):
            self._of_group[group].append(number)

    def draw(self, random: np.random.Generator) -> int:
        """The number of an example in `refs`."""
        at = random.random() * self._cumulative[-1]
        return min(int(np.searchsorted(self._cumulative, at, side="right")), len(self.refs) - 1)

    def draw_of(self, group: str, random: np.random.Generator) -> int:
        """One of that group where there is one."""
        own = self._of_group.get(group)
        return own[int(random.integers(len(own)))] if own else self.draw(random)


class _Source:
    def __init__(self, table: SourceTable, packs: Sequence[CropPack]) -> None:
        self.table = table

        def choice(sets: Sequence[str], wanted: str) -> _Choice:
            refs = [
                _Ref(place, int(number))
                for place, pack in enumerate(packs)
                for number in pack.numbers(sets)
                if _serves(pack, int(number), wanted)
            ]
            if not refs:
                raise DataError(f"sets {', '.join(sets)}", f"no example that is {wanted}", "correct the recipe or pack")
            return _Choice(packs, refs)

        if table.kind == "registered":
            self.fakes = choice(table.fakes, "registered")
        elif table.kind == "loose":
            self.fakes = choice(table.fakes, "a fake")
            self.reals = choice(table.reals or table.fakes, "real")
        else:
            self.reals = choice(table.reals, "real with landmarks")


def _serves(pack: CropPack, number: int, wanted: str) -> bool:
    if wanted == "registered":
        return bool(pack.real[number] >= 0 and pack.mask[number] >= 0)
    if wanted == "a fake":
        return bool(pack.fake[number] >= 0)
    return bool(pack.real[number] >= 0 and (wanted == "real" or np.isfinite(pack.landmarks[number]).all()))


class PairDrawer:
    """Draws the batches of a recipe; batch `step` is the same whenever it is asked for. Safe to use from threads.

    Args:
        recipe: sources, views and stages.
        packs: the material.
        side: the network's working side, and `margin` of its crop.

    Raises:
        DataError: a source finds no example in the packs.
    """

    def __init__(self, recipe: Recipe, packs: Sequence[CropPack], side: int, margin: float) -> None:
        self._recipe, self._packs, self._side, self._margin = recipe, tuple(packs), side, margin
        self._sources = [_Source(table, packs) for table in recipe.sources]
        shares = np.array([table.share for table in recipe.sources])
        self._shares = np.cumsum(shares / shares.sum())

    def batch(self, step: int) -> DrawnBatch:
        """The batch of a step, from 0."""
        stage, _ = self._recipe.stage(step)
        random = np.random.default_rng([self._recipe.seed, step])
        drawn = [self.pair(stage.patch, random) for _ in range(stage.pairs)]
        return DrawnBatch(
            np.concatenate([each.pixels for each in drawn]),
            np.concatenate([each.truth for each in drawn]),
            np.concatenate([each.taught for each in drawn]),
            np.concatenate([each.label for each in drawn]),
        )

    def pair(self, patch: int, random: np.random.Generator) -> DrawnBatch:
        """One pair of patches."""
        source = self._sources[min(int(np.searchsorted(self._shares, random.random())), len(self._sources) - 1)]
        if source.table.kind == "registered":
            return self._registered(source, patch, random)
        if source.table.kind == "loose":
            return self._loose(source, patch, random)
        return self._blend(source, patch, random)

    def _registered(self, source: _Source, patch: int, random: np.random.Generator) -> DrawnBatch:
        ref = source.fakes.refs[source.fakes.draw(random)]
        pack, number = self._packs[ref.pack], ref.number
        matrix, twice = self._geometry(pack.box[number], patch, source.table, random), random.random() < TWICE_RESAMPLED
        real, fake = (_seen(pack.picture(picture[number]), matrix, patch, twice) for picture in (pack.real, pack.fake))
        mask = _mask_seen(pack.mask_of(pack.mask[number]), matrix, patch)
        strength, chance = 1.0, random.random()
        if chance < source.table.parts:
            fake, mask = mix(real, fake, mask, random)
        elif chance < source.table.parts + source.table.mixup:
            strength = max(LEAST_MIX, float(random.beta(0.5, 0.5)))
            fake = np.asarray(cv2.addWeighted(fake, strength, real, 1 - strength, 0), dtype=np.uint8)
        taught = _taught(pack.inside[number], matrix, patch)
        return self._finished([real, fake], mask, [taught, taught], strength, random)

    def _loose(self, source: _Source, patch: int, random: np.random.Generator) -> DrawnBatch:
        at = source.fakes.draw(random)
        fake, real = source.fakes.refs[at], source.reals.refs[source.reals.draw_of(source.fakes.groups[at], random)]
        views, taught = [], []
        twice = random.random() < TWICE_RESAMPLED
        for ref, side in ((real, "real"), (fake, "fake")):
            pack, number = self._packs[ref.pack], ref.number
            matrix = self._geometry(pack.box[number], patch, source.table, random)
            views.append(_seen(pack.picture(getattr(pack, side)[number]), matrix, patch, twice))
            taught.append(_taught(pack.inside[number], matrix, patch))
        taught[1][:] = 0
        return self._finished(views, None, taught, 1.0, random)

    def _blend(self, source: _Source, patch: int, random: np.random.Generator) -> DrawnBatch:
        at = source.reals.draw(random)
        ref = source.reals.refs[at]
        pack, number = self._packs[ref.pack], ref.number
        matrix, twice = self._geometry(pack.box[number], patch, source.table, random), random.random() < TWICE_RESAMPLED
        real = _seen(pack.picture(pack.real[number]), matrix, patch, twice)
        marks = (pack.landmarks[number] @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
        mirrored = bool(matrix[0, 0] < 0)
        # Left and right change places in a mirrored face.
        ordered = marks[[1, 0, 2, 4, 3]] if mirrored else marks
        if source.table.kind == "mouth":
            other = source.reals.refs[source.reals.draw_of(source.reals.groups[at], random)]
            moment = self._brought(other, marks, mirrored, patch, twice)
            blend = mouth_blend(real, real if moment is None else moment, ordered, random)
        else:
            blend = self_blend(real, ordered, random)
        taught = _taught(pack.inside[number], matrix, patch)
        return self._finished([real, blend.pixels], blend.mask, [taught, taught], 1.0, random)

    def _brought(self, ref: _Ref, marks: FloatArray, mirrored: bool, patch: int, twice: bool) -> UInt8Array | None:
        """The picture with its face on the given marks; None where no such similarity is found."""
        pack, number = self._packs[ref.pack], ref.number
        flip = np.array([-1.0 if mirrored else 1.0, 1.0])
        similar, _ = cv2.estimateAffinePartial2D(pack.landmarks[number] * flip, marks, method=cv2.LMEDS)
        if similar is None or not np.isfinite(similar).all() or abs(np.linalg.det(similar[:, :2])) < 0.01:
            return None
        matrix = np.concatenate([similar[:, :2] * flip, similar[:, 2:]], axis=1)
        return _seen(pack.picture(pack.real[number]), matrix, patch, twice)

    def _finished(
        self,
        views: list[UInt8Array],
        mask: UInt8Array | None,
        taught: list[FloatArray],
        strength: float,
        random: np.random.Generator,
    ) -> DrawnBatch:
        """Both views through the same light, blur and compression."""
        patch = views[0].shape[0]
        if random.random() < 0.6:
            # Brightness and tint would become the detector: a little of them differs between real and fake.
            shared = levels(random, 0.2)
            views = [apply_levels(apply_levels(view, shared), levels(random, 0.03)) for view in views]
        if random.random() < self._recipe.view.blur:
            sigma = math.exp(random.uniform(math.log(0.5), math.log(2.2)))
            views = [blurred(view, sigma) for view in views]
        if random.random() < self._recipe.view.degrade:
            views = degraded(views, random)
        if random.random() < 0.05:
            views = [np.repeat(cv2.cvtColor(view, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2) for view in views]
        if random.random() < 0.1:
            hide_region(views, mask, random)
        side = patch // COARSE
        truth = np.zeros((2, side, side), dtype=np.float32)
        label = np.array([0.0, strength], dtype=np.float32)
        if mask is not None:
            truth[1] = cv2.resize(mask.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA) * strength
            changed = float(mask.mean())
            # The pooled map is the mean of its highest sixteenth: less than half of that is neither one nor the other.
            label[1] = 0.0 if changed == 0 else strength if changed >= 1 / 32 else math.nan
        return DrawnBatch(np.stack(views), truth, np.stack(taught), label)

    def _geometry(self, box: FloatArray, patch: int, table: SourceTable, random: np.random.Generator) -> Float64Array:
        """float64 [2, 3], pixels of the picture to pixels of the patch: flip, turn, scale, shear, place."""
        x0, y0, x1, y1 = (float(value) for value in box)
        low, high = table.zoom or self._recipe.view.zoom
        zoom = math.exp(random.uniform(math.log(low), math.log(high)))
        scale = zoom * self._side / (self._margin * max(x1 - x0, y1 - y0))
        angle, flip = math.radians(random.normal(0, 8)), -1.0 if random.random() < 0.5 else 1.0
        shear, stretch = random.normal(0, 0.03), 1 + random.normal(0, 0.03)
        cos, sin = math.cos(angle) * scale, math.sin(angle) * scale
        linear = np.array([[cos, -sin], [sin, cos]]) @ np.array([[flip, shear], [0, stretch]])
        # A patch smaller than the crop wanders in it.
        reach = max(0.0, (self._side * zoom - patch) / 2) * 0.8 + 0.04 * self._side
        centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2]) + random.uniform(-reach, reach, size=2) / scale
        return np.concatenate([linear, (np.full(2, patch / 2 - 0.5) - linear @ centre)[:, None]], axis=1)


def live_crop(picture: UInt8Array, box: FloatArray, margin: float, size: int = LIVE_SIDE) -> UInt8Array:
    """The crop that the live guard would cut, uint8 [size, size, 3]; the border is repeated outside the picture."""
    return _seen(picture, _live_matrix(box, margin, size), size, twice=False)


def live_mask(mask: UInt8Array, box: FloatArray, margin: float, size: int = LIVE_SIDE) -> UInt8Array:
    """The mask in the crop that the live guard would cut, uint8 [size, size], 1 where fake."""
    return _mask_seen(mask, _live_matrix(box, margin, size), size)


def _live_matrix(box: FloatArray, margin: float, size: int) -> Float64Array:
    """float64 [2, 3], pixels of the picture to pixels of the live crop."""
    x0, y0, x1, y1 = (float(value) for value in box)
    scale = size / (margin * max(x1 - x0, y1 - y0))
    offset = [size / 2 - 0.5 - scale * (low + high) / 2 for low, high in ((x0, x1), (y0, y1))]
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])


def _seen(picture: UInt8Array, matrix: Float64Array, patch: int, twice: bool) -> UInt8Array:
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 0.6:
        # A single linear look-up would skip pixels.
        picture = np.asarray(cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        matrix = matrix @ np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1.0]])
    if twice:
        large = round(patch * 1.6)
        factor = large / patch
        wide = np.array([[factor, 0, factor / 2 - 0.5], [0, factor, factor / 2 - 0.5]])
        matrix = np.concatenate([wide[:, :2] @ matrix[:, :2], (wide[:, :2] @ matrix[:, 2] + wide[:, 2])[:, None]], 1)
        view = cv2.warpAffine(picture, matrix, (large, large), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(cv2.resize(view, (patch, patch), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
    view = cv2.warpAffine(picture, matrix, (patch, patch), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(view, dtype=np.uint8)


def _mask_seen(mask: UInt8Array, matrix: Float64Array, patch: int) -> UInt8Array:
    warped = cv2.warpAffine((mask > 0).astype(np.uint8), matrix, (patch, patch), flags=cv2.INTER_NEAREST)
    return np.asarray(warped, dtype=np.uint8)


def _taught(inside: FloatArray, matrix: Float64Array, patch: int) -> FloatArray:
    """float32 [P / 2, P / 2]: 1 where all of the patch's pixels show what was recorded."""
    # Of pixels, not of their edges: the first lies at x0, the last at x1 - 1.
    low, high = inside[:2, None].astype(np.float64), inside[2:, None].astype(np.float64) - 1
    back = np.linalg.inv(matrix[:, :2])
    ends = np.array([[0, 0], [patch - 1, 0], [patch - 1, patch - 1], [0, patch - 1]], dtype=np.float64).T
    seen = back @ (ends - matrix[:, 2:])
    side = patch // COARSE
    if ((seen >= low) & (seen <= high)).all():
        return np.ones((side, side), dtype=np.float32)
    y, x = np.divmod(np.arange(patch * patch), patch)
    seen = back @ (np.stack([x, y]) - matrix[:, 2:])
    shown = ((seen >= low) & (seen <= high)).all(axis=0)
    return np.asarray(shown.reshape(side, COARSE, side, COARSE).all(axis=(1, 3)), dtype=np.float32)

"""Batches that are drawn and gathered on the host, and made on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from streamguard.training.augment import Patches, View
from streamguard.training.batched.fakes import blended, parted
from streamguard.training.batched.recipes import Blends, Parts, draw_blends, draw_parts
from streamguard.training.batched.seen import seen
from streamguard.training.batched.tensors import Chosen, indices
from streamguard.training.batched.views import Views, draw_views
from streamguard.training.config import Stage
from streamguard.training.hard_examples import Example, Known
from streamguard.training.sampler import NOTHING_KNOWN, PARTS, Sample, Sampler
from streamguard.types import Float64Array, UInt8Array


@dataclass(frozen=True, slots=True)
class Raw:
    """All that the device needs for N pairs.

    Attributes:
        kinds: how each fake is made; see `sampler.Sample`.
        examples: what their losses are remembered by.
        real: uint8 [N, S, S, 3].
        anew: bool [N]: fakes that are made of the real crop; the K others are the packs' own.
        fakes, masks: uint8 [K, S, S, 3] and [K, S, S]: the packs' own.
        part: bool [K]: of these a part is left.
        donors: uint8 [D, S, S, 3]: the faces of other people.
        blends, parts, views: how they are made and seen.
    """

    kinds: tuple[str, ...]
    examples: tuple[Example, ...]
    real: torch.Tensor
    anew: Chosen
    fakes: torch.Tensor
    masks: torch.Tensor
    part: Chosen
    donors: torch.Tensor
    blends: Blends
    parts: Parts
    views: Views


class BatchedSampler:
    """Draws what `Sampler` draws, in the same shares, and makes it on a device.

    Args:
        sampler: chooses examples, kinds and donors.
        device: makes fakes and views.
    """

    def __init__(self, sampler: Sampler, device: torch.device) -> None:
        self._sampler, self._device = sampler, device

    def stage(self, step: int) -> Stage:
        """The stage that a step (from 0) belongs to."""
        return self._sampler.stage(step)

    def samples(self, step: int) -> list[Sample]:
        """The pairs of one step, for looking at."""
        raw = self.gather(step)
        pixels, truth = (each.to(torch.uint8).cpu() for each in self.make(raw))
        views, masks = pixels.permute(0, 2, 3, 1).contiguous().numpy(), truth.numpy()
        return [
            Sample(kind, Patches(views[2 * n], views[2 * n + 1], masks[2 * n + 1]), example)
            for n, (kind, example) in enumerate(zip(raw.kinds, raw.examples, strict=True))
        ]

    def gather(self, step: int, known: Known = NOTHING_KNOWN) -> Raw:
        """What the host does for a step: draw and copy. `known` are the losses that hard examples are drawn by."""
        random, stage = self._sampler.random(step), self._sampler.stage(step)
        choices = [self._sampler.choose(stage, random, known) for _ in range(stage.pairs)]
        own = [choice for choice in choices if not choice.anew]
        made = [choice for choice in choices if choice.anew]
        part = np.array([choice.kind in PARTS for choice in own], dtype=np.bool_)
        real = np.stack([choice.pack.real[choice.index] for choice in choices])
        size = real.shape[1]
        masks = _stack([choice.pack.mask[choice.index] for choice in own], (size, size))
        # Of an empty mask nothing can be left over: the fake stays as it is.
        part &= masks.any(axis=(1, 2))
        donors = [choice.donor for choice in made if choice.donor is not None]
        landmarks = np.array([choice.pack.landmarks[choice.index] for choice in made], dtype=np.float32)
        blends = draw_blends(
            landmarks.reshape(-1, 5, 2),
            np.array([donor.landmarks for donor in donors], dtype=np.float32).reshape(-1, 5, 2),
            np.array([choice.donor is not None for choice in made], dtype=np.bool_),
            np.array([choice.kind == "plain swap" for choice in made], dtype=np.bool_),
            size,
            random,
        )
        parts = draw_parts(_anchors(masks[part], random), size, random)
        degrade = np.array([choice.degrade(stage) for choice in choices])
        view = View(stage.patch, stage.zoom, blur=stage.blur)
        return Raw(
            kinds=tuple(choice.kind for choice in choices),
            examples=tuple(choice.example for choice in choices),
            real=self._packed(real),
            anew=np.array([choice.anew for choice in choices]),
            fakes=self._packed(_stack([choice.pack.fake[choice.index] for choice in own], (size, size, 3))),
            masks=self._packed(masks),
            part=part,
            donors=self._packed(_stack([donor.pixels for donor in donors], (size, size, 3))),
            blends=blends,
            parts=parts,
            views=draw_views(view, degrade, size, random),
        )

    @torch.no_grad()
    def make(self, raw: Raw) -> tuple[torch.Tensor, torch.Tensor]:
        """What the device does for a step.

        Returns real and fake side by side, float32 [2N, 3, P, P], whole numbers 0..255, and the truth, float32
        [2N, P, P], 0 or 1.
        """
        real, own = self._pictures(raw.real), self._pictures(raw.fakes)
        masks = raw.masks.to(self._device, non_blocking=True).float()
        if raw.part.any():
            rows = indices(raw.part, real)
            base = real.index_select(0, indices(~raw.anew, real)).index_select(0, rows)
            left, marked = parted(base, own.index_select(0, rows), masks.index_select(0, rows), raw.parts)
            own, masks = own.index_copy(0, rows, left), masks.index_copy(0, rows, marked)
        fakes, truth = torch.empty_like(real), torch.empty_like(real[:, 0])
        fakes, truth = (
            every.index_copy(0, indices(~raw.anew, real), some) for every, some in ((fakes, own), (truth, masks))
        )
        if raw.anew.any():
            rows = indices(raw.anew, real)
            made = blended(real.index_select(0, rows), self._pictures(raw.donors), raw.blends)
            fakes, truth = fakes.index_copy(0, rows, made[0]), truth.index_copy(0, rows, made[1])
        pairs, truth = seen(torch.stack([real, fakes], dim=1), truth, raw.views)
        return pairs.flatten(0, 1), torch.stack([torch.zeros_like(truth), truth], dim=1).flatten(0, 1)

    def _packed(self, array: UInt8Array) -> torch.Tensor:
        tensor = torch.from_numpy(array)
        # From pinned memory a GPU copies while it computes.
        return tensor.pin_memory() if self._device.type == "cuda" else tensor

    def _pictures(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 [N, S, S, 3] on the host to float32 [N, 3, S, S] on the device."""
        return pixels.to(self._device, non_blocking=True).permute(0, 3, 1, 2).float().contiguous()


def _stack(parts: list[UInt8Array], shape: tuple[int, ...]) -> UInt8Array:
    return np.stack(parts) if parts else np.empty((0, *shape), dtype=np.uint8)


def _anchors(masks: UInt8Array, random: np.random.Generator) -> Float64Array:
    """float64 [N, 2]: x and y of a pixel of each mask [N, S, S], none of them empty."""
    places = [np.flatnonzero(mask) for mask in masks]
    chosen = np.array([place[random.integers(len(place))] for place in places], dtype=np.int64)
    return np.stack([chosen % masks.shape[2], chosen // masks.shape[2]], axis=1).astype(np.float64)

"""Pictures, batches and recipes for the tests of what is made a batch at a time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from streamguard.training.augment import View
from streamguard.training.batched.recipes import Blends, draw_blends
from streamguard.training.batched.sampler import BatchedSampler
from streamguard.training.batched.views import Views, draw_views
from streamguard.training.sampler import Sampler, open_packs
from streamguard.types import FloatArray, UInt8Array
from tests.support.training_data import CONFIG, micro_config, triple

SIZE = 320
CPU = torch.device("cpu")


def pictures(count: int = 4) -> tuple[UInt8Array, FloatArray]:
    """uint8 [N, 320, 320, 3] crops of a portrait, each shifted a little, and landmarks [N, 5, 2]."""
    triples = [triple(number, "ann") for number in range(count)]
    return np.stack([each.real for each in triples]), np.stack([each.landmarks for each in triples])


def tensor(pixels: UInt8Array) -> torch.Tensor:
    """float32 [N, 3, H, W] of uint8 [N, H, W, 3]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().contiguous()


def pixels(pictures: torch.Tensor) -> UInt8Array:
    """uint8 [N, H, W, 3] of float32 [N, 3, H, W]."""
    return pictures.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()


def psnr(one: UInt8Array, other: UInt8Array) -> float:
    """Decibels."""
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((one.astype(float) - other) ** 2))))


def blends(marks: FloatArray, seed: int = 0, *, donors: int = 0, plain: bool = False) -> Blends:
    """Recipes; the first `donors` of them get the faces of the last ones."""
    donor = np.arange(len(marks)) < donors
    donor_marks = marks[::-1][:donors]
    whole = np.full(len(marks), plain) & ~donor
    return draw_blends(marks, donor_marks, donor, whole, SIZE, np.random.default_rng(seed))


def views(count: int, patch: int = 128, seed: int = 0, *, degrade: float = 1.0, view: View | None = None) -> Views:
    """Views of crops of 320 pixels."""
    return draw_views(view or View(patch, blur=0.5), np.full(count, degrade), SIZE, np.random.default_rng(seed))


def samplers(packs: Path, folder: Path, extra: str = "", pairs: int = 6) -> tuple[Sampler, BatchedSampler]:
    """One by one, and all at once, of one stage of `pairs`."""
    text = CONFIG.replace(
        "stages = [{ steps = 2, patch = 64, pairs = 1 }, ", f"stages = [{{ steps = 9, patch = 64, pairs = {pairs} }}, "
    )
    one = Sampler(micro_config(folder, text + extra), open_packs(packs))
    return one, BatchedSampler(one, CPU)

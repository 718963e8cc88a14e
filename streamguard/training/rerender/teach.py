"""Teaching a network to render faces."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from streamguard.models import fresh
from streamguard.training.config import RendererTable
from streamguard.training.rerender.aligned import aligned
from streamguard.training.rerender.autoencoder import FaceAutoencoder, critic
from streamguard.training.start import from_imagenet
from streamguard.types import FloatArray, UInt8Array

LEARNING_RATE, CRITIC_RATE = 6e-4, 3e-4
WARMUP = 50
ALIGNED = 128
"""Side of the upright face, in pixels."""
PATCHES = {3: (64, 12), 4: (96, 8)}
"""By halvings: side of the patches that are learned from, and how many a step."""
ZOOMS = (0.8, 1.15)
CODE_NOISE = 0.1
CRITIC_WEIGHT = 0.05
CRITIC_FROM, LEARNED_FROM = 0.4, 0.45
"""Shares of the steps after which the critic learns, and after which it is learned from."""
LOOKED_THROUGH = 3
"""Encoder steps of an ImageNet network whose answers are compared."""

Face = Callable[[np.random.Generator], tuple[UInt8Array, FloatArray]]
"""Draws a real face: uint8 [H, W, 3] and its landmarks, float32 [5, 2]."""


class Teacher:
    """One network's course.

    Args:
        table: the network.
        steps: of the course.
        seed: decides start, faces and noise.
        face: draws a real face.

    Raises:
        ConfigError: the ImageNet weights are not installed.
    """

    def __init__(self, table: RendererTable, steps: int, seed: int, face: Face) -> None:
        torch.manual_seed(seed)
        self._steps, self._face = steps, face
        self._random = np.random.default_rng(seed)
        self._side, self._count = PATCHES[table.halvings]
        self.network: FaceAutoencoder = FaceAutoencoder(table).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs know 4-d tensors only
        self._critic = critic()
        seeing = fresh("unet_lite0").network
        from_imagenet(seeing)
        self._seeing = nn.ModuleList(list(seeing.encoders)[:LOOKED_THROUGH]).eval().requires_grad_(False)  # type: ignore[arg-type]  # a module's attributes are untyped
        betas = (0.5, 0.95)
        self._optimizer = torch.optim.AdamW(self.network.parameters(), LEARNING_RATE, betas=betas, weight_decay=1e-4)
        self._critics_optimizer = torch.optim.AdamW(self._critic.parameters(), CRITIC_RATE, betas=betas)

    def run(self, advance: Callable[[int, float], None]) -> FaceAutoencoder:
        """Teach to the end; `advance` is called after each step with the steps done and the mean error, 0..2."""
        for step in range(self._steps):
            advance(step + 1, self._learn(step))
        self.network.eval()
        return self.network

    def _learn(self, step: int) -> float:
        rate = min(1, (step + 1) / WARMUP) * (0.05 + 0.475 * (1 + math.cos(math.pi * step / self._steps)))
        for group in self._optimizer.param_groups:
            group["lr"] = LEARNING_RATE * rate
        faces = self._batch()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            made = self.network(faces, CODE_NOISE)
            error = (made.float() - faces).abs().mean()
            loss = error + 0.5 * _edges(made.float(), faces) + 0.5 * self._unlike(made, faces)
            if step > LEARNED_FROM * self._steps:
                loss = loss - CRITIC_WEIGHT * self._critic(made).float().mean()
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        if step > CRITIC_FROM * self._steps:
            self._criticise(faces, made.detach())
        return float(error.detach())

    def _criticise(self, faces: torch.Tensor, made: torch.Tensor) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            real, fake = self._critic(faces).float(), self._critic(made).float()
        loss = functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
        self._critics_optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._critics_optimizer.step()

    def _unlike(self, made: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
        """How differently an ImageNet network sees them (LPIPS without its weights: Zhang et al., 2018)."""
        total = torch.zeros(())
        for part in self._seeing:
            made = part(made)
            with torch.no_grad():
                faces = part(faces)
            one, two = (functional.normalize(each.float(), dim=1) for each in (made, faces))
            total = total + (one - two).pow(2).sum(dim=1).mean()
        return total

    def _batch(self) -> torch.Tensor:
        random, patches = self._random, []
        for _ in range(self._count):
            face, _ = aligned(*self._face(random), ALIGNED, float(random.uniform(*ZOOMS)))
            if random.random() < 0.5:
                face = face[:, ::-1]
            top, left = (int(value) for value in random.integers(0, ALIGNED - self._side + 1, 2))
            patches.append(face[top : top + self._side, left : left + self._side])
        pixels = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)
        return ((pixels.float() - 128) / 128).contiguous(memory_format=torch.channels_last)


def _edges(made: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    """Mean difference of the neighbouring pixels' differences."""
    total = torch.zeros(())
    for axis in (-1, -2):
        total = total + (made.diff(dim=axis) - faces.diff(dim=axis)).abs().mean()
    return total

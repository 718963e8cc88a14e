"""The training loop: resumable, on the CPU or a CUDA device, in bfloat16."""

from __future__ import annotations

import contextlib
import math
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from streamguard.errors import DataError
from streamguard.models import LoadedModel, fresh
from streamguard.models.unet import UnetGraph
from streamguard.models.unet_lite0 import UnetLite0
from streamguard.training.checkpoint import write_checkpoint
from streamguard.training.config import TrainConfig
from streamguard.training.encoder_head import EncoderHead
from streamguard.training.evaluation.metrics import auc
from streamguard.training.feed import Batch, feed
from streamguard.training.hard_examples import Known, LossMemory, pair_losses
from streamguard.training.loss import PICTURE_FRACTION, picture_loss, presence_loss, segmentation_loss
from streamguard.training.sampler import Packs, Sampler
from streamguard.training.start import start

CHECKPOINT_SCHEMA = "streamguard.checkpoint/1"
CHECKPOINT_EVERY = 100


@dataclass(slots=True)
class Progress:
    """What has been reached; travels inside the checkpoint."""

    step: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    validations: list[tuple[int, float, float]] = field(default_factory=list)
    """(step, frame AUC, Dice over both halves) of the averaged weights."""


class Trainer:
    """Trains one network.

    Args:
        config: the whole configuration; a checkpoint made under another one is refused.
        packs: the material.
        checkpoint: the file to resume from and to write.
        device: `cpu` or `cuda`.

    Raises:
        DataError: the checkpoint is damaged or of another configuration.
    """

    def __init__(self, config: TrainConfig, packs: Packs, checkpoint: Path, device: str = "cpu") -> None:
        self._config, self._packs, self._checkpoint = config, packs, checkpoint
        self._sampler = Sampler(config, packs)
        self._device = torch.device(device)
        self._prepare = feed(config, self._sampler, self._device)
        self._memory = LossMemory()
        self.model: LoadedModel = start(config)
        network = self.model.network
        assert isinstance(network, UnetGraph | UnetLite0)
        network.to(self._device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]  # torch's stubs know 4-d tensors only
        self._network = network
        self._average = {key: value.detach().clone() for key, value in self._network.state_dict().items()}
        self._head = EncoderHead(self._network.encoders, _encoder_channels(self._network)).to(self._device)
        trained = [*self._network.parameters(), *self._head.parameters()]
        # Kernels alone are held small: a norm's scale or a bias has nothing to overfit with.
        groups = [
            {"params": [part for part in trained if part.ndim > 1], "weight_decay": config.train.weight_decay},
            {"params": [part for part in trained if part.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=config.train.learning_rate)
        self.progress = Progress()
        self.total_steps = sum(stage.steps for stage in config.train.stages)
        if checkpoint.is_file():
            self._resume()

    def run(self, advance: Callable[[Progress, float], None]) -> None:
        """Train to the end; `advance` is called after each step with the progress and the step's loss."""
        # The next batch is made while this one is learned from.
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as maker:
            following = self._submit(maker, self.progress.step)
            while self.progress.step < self.total_steps:
                finish = following.result()
                if self.progress.step + 1 < self.total_steps:
                    following = self._submit(maker, self.progress.step + 1)
                self._advance(finish(), advance)

    def _submit(self, maker: ThreadPoolExecutor, step: int) -> Future[Callable[[], Batch]]:
        known = self._memory.known(step) if self._config.train.hard_share else Known()
        return maker.submit(self._prepare, step, known)

    def _advance(self, batch: Batch, advance: Callable[[Progress, float], None]) -> None:
        loss = self._learn(batch, self._sampler.stage(self.progress.step).dice)
        self.progress.step += 1
        step, last = self.progress.step, self.progress.step == self.total_steps
        if step % 10 == 0 or last:
            self.progress.losses.append((step, loss))
        if self._packs.validation is not None and (step % self._config.train.validate_every == 0 or last):
            self.progress.validations.append((step, *self.validate()))
        if step % CHECKPOINT_EVERY == 0 or last:
            self._save()
        advance(self.progress, loss)

    def averaged(self) -> LoadedModel:
        """The model with the averaged weights, float32 on the CPU: what is shipped."""
        model = fresh(self._config.network, self._config.train.seed)
        model.network.load_state_dict({key: value.cpu() for key, value in self._average.items()})
        return model

    def validate(self, limit: int = 120) -> tuple[float, float]:
        """Frame AUC and Dice over both halves on the validation pack (at most `limit` triples, evenly spread)."""
        pack = self._packs.validation
        if pack is None:
            return math.nan, math.nan
        current = {key: value.clone() for key, value in self._network.state_dict().items()}
        self._network.load_state_dict(self._average)
        self._network.eval()
        chosen = np.unique(np.linspace(0, len(pack) - 1, limit).astype(int))
        offset = (pack.real.shape[1] - 256) // 2
        inner = slice(offset, offset + 256)
        scores: list[float] = []
        dices = []
        with torch.inference_mode(), self._autocast():
            for index in chosen:
                both = torch.from_numpy(np.stack([pack.real[index][inner, inner], pack.fake[index][inner, inner]]))
                logits = self._network(self._normalised(both.to(self._device).permute(0, 3, 1, 2))).float().squeeze(1)
                pooled = logits.flatten(1).topk(256 * 256 // PICTURE_FRACTION, dim=1).values.mean(dim=1)
                scores += pooled.tolist()
                marked = (logits > 0).cpu().numpy()
                truth = pack.mask[index][inner, inner] > 0
                dices += [
                    float(not marked[0].any()),
                    2 * (marked[1] & truth).sum() / max(1, marked[1].sum() + truth.sum()),
                ]
        self._network.load_state_dict(current)
        self._network.train()
        return auc(scores, [False, True] * len(chosen)) or 0.0, float(np.mean(dices))

    def _learn(self, batch: Batch, dice: float) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._learning_rate()
        with self._autocast():
            logits = self._network(self._normalised(batch.pixels))
        logits, target = logits.float().squeeze(1), batch.truth
        loss = segmentation_loss(logits, target, dice)
        loss = loss + self._config.train.picture_loss * picture_loss(logits, target)
        loss = loss + self._config.train.encoder_loss * presence_loss(self._head(), target)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self._network.parameters(), 1.0)
        self._optimizer.step()
        # A short memory at first: the random start must not linger in the average.
        decay = min(self._config.train.average, (1 + self.progress.step) / (10 + self.progress.step))
        with torch.no_grad():
            for key, value in self._network.state_dict().items():
                if value.is_floating_point():
                    self._average[key].lerp_(value, 1 - decay)
                else:
                    self._average[key].copy_(value)
        if self._config.train.hard_share:
            self._memory.record(self.progress.step, batch.examples, pair_losses(logits, target))
        return float(loss.detach())

    def _learning_rate(self) -> float:
        train, step = self._config.train, self.progress.step
        if step < train.warmup_steps:
            return train.learning_rate * (step + 1) / train.warmup_steps
        if train.schedule == "constant":
            return train.learning_rate
        share = (step - train.warmup_steps) / max(1, self.total_steps - train.warmup_steps)
        return train.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))

    def _normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels [N, 3, H, W], 0..255, as the network takes them."""
        spec = self.model.spec
        batch = pixels.float() / 255
        mean = torch.tensor(spec.mean, device=self._device).view(1, 3, 1, 1)
        std = torch.tensor(spec.std, device=self._device).view(1, 3, 1, 1)
        return ((batch - mean) / std).contiguous(memory_format=torch.channels_last)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        # bfloat16 on both: its range needs no loss scaling.
        return torch.autocast(self._device.type, dtype=torch.bfloat16)

    def _save(self) -> None:
        state = {
            "schema": CHECKPOINT_SCHEMA,
            "config": self._config.model_dump(mode="json"),
            "network": self._network.state_dict(),
            "head": self._head.state_dict(),
            "average": self._average,
            "optimizer": self._optimizer.state_dict(),
            "progress": asdict(self.progress),
            "losses": self._memory.state(),
        }
        write_checkpoint(self._checkpoint, state)

    def _resume(self) -> None:
        try:
            state = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
            # Read anew: an option that came later has its default in an earlier checkpoint.
            if state["schema"] != CHECKPOINT_SCHEMA or TrainConfig.model_validate(state["config"]) != self._config:
                raise DataError(
                    str(self._checkpoint),
                    "made under another configuration",
                    "give another run folder, or that configuration",
                )
            self._network.load_state_dict(state["network"])
            self._head.load_state_dict(state["head"])
            self._average = state["average"]
            self._optimizer.load_state_dict(state["optimizer"])
            self.progress = Progress(**state["progress"])
            if self._config.train.hard_share:
                self._memory.restore(state["losses"])
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise DataError(
                str(self._checkpoint), "damaged or of another network", "remove it to start again"
            ) from error


def _encoder_channels(network: UnetGraph | UnetLite0) -> int:
    norms = [
        [part for part in block.modules() if isinstance(part, nn.BatchNorm2d | nn.InstanceNorm2d)]
        for block in network.encoders
    ]
    return sum(parts[-1].num_features for parts in norms)


def patches_seen(config: TrainConfig) -> Iterator[tuple[int, int]]:
    """(patch size, patches seen) of each stage: for the card."""
    for stage in config.train.stages:
        yield stage.patch, stage.steps * stage.pairs * 2

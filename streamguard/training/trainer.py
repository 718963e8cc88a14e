"""The training of one network from packs: resumable, on every core without waiting for the slowest, or on a GPU."""

from __future__ import annotations

import copy
import math
import os
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from streamguard.errors import DataError
from streamguard.models import LoadedModel, load
from streamguard.models.unet import UnetGraph
from streamguard.models.unet_lite0 import UnetLite0
from streamguard.training.checkpoint import write_checkpoint
from streamguard.training.drawing import DrawnBatch, PairDrawer
from streamguard.training.encoder_head import EncoderHead
from streamguard.training.held_out import HeldOutCrops, SetFigures
from streamguard.training.loss import mask_loss, pooled_logits, presence_loss
from streamguard.training.pack import CropPack
from streamguard.training.recipe import Recipe
from streamguard.training.start import start_network

CHECKPOINT_SCHEMA = "streamguard.checkpoint/2"
SAVED_EVERY = 120.0
"""Seconds between checkpoints: what a kill loses at the most."""
AHEAD = 3
"""Batches drawn ahead, for each worker."""


@dataclass(slots=True)
class Reached:
    """Progress of a run; travels inside the checkpoint.

    Attributes:
        step: steps done.
        patches: patches learned from.
        seconds: spent so far.
        loss: moving average.
        curve: (step, patches, seconds, figures by set) of each validation of the averaged weights.
    """

    step: int = 0
    patches: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    curve: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Trains one network.

    On a CPU every worker has a copy of the network and one thread; it learns from a batch of its own and adds its step
    to the shared weights, a step or two late (asynchronous SGD: Recht et al., "Hogwild!", 2011). So a core that is busy
    with something else holds up nobody. With one worker a run is the same each time, but for a network's dropout.

    Args:
        recipe: what to learn from and how.
        packs: the material.
        held: what the averaged weights are measured on.
        checkpoint: the file to resume from and to write.
        device: `cpu` or `cuda`.
        workers: threads that learn, of a CPU.
        model: learns in place of the recipe's network: one that marks pixels, or a classifier with one logit a
            picture, which has no mask to learn from and learns by the picture-level loss alone.

    Raises:
        DataError: the checkpoint is damaged or of another network, or a source finds no example.
        ConfigError: the start cannot be had.
        UnknownModel: the teacher is no detector.
    """

    def __init__(
        self,
        recipe: Recipe,
        packs: Sequence[CropPack],
        held: HeldOutCrops | None,
        checkpoint: Path,
        device: str = "cpu",
        workers: int = 1,
        model: LoadedModel | None = None,
    ) -> None:
        self._recipe, self._held, self._checkpoint = recipe, held, checkpoint
        self._device, self._workers = torch.device(device), 1 if device == "cuda" else workers
        # A GPU learns faster than one thread draws.
        self._drawers = max(1, (os.cpu_count() or 1) - 2) if device == "cuda" else max(1, self._workers // 2)
        self.model = model or start_network(recipe.network, recipe.start_from, recipe.seed)
        self._plain = copy.deepcopy(self.model.network)
        spec = self.model.spec
        self._side = spec.working_side or spec.size
        self._drawer = PairDrawer(recipe, packs, self._side, spec.margin)
        teacher = load(recipe.teacher).network if recipe.teacher else None
        self._pair = _Learner(self.model.network, self._device, teacher)
        trained = self._pair.parameters
        groups = [
            # Kernels alone are held small: a norm's scale or a bias has nothing to overfit with.
            {"params": [part for part in trained if part.ndim > 1], "weight_decay": recipe.weight_decay},
            {"params": [part for part in trained if part.ndim <= 1], "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=recipe.stages[0].rate[0])
        self._average = {key: value.detach().clone() for key, value in self._pair.network.state_dict().items()}
        self.reached = Reached()
        self._lock = threading.Lock()
        self._failure: BaseException | None = None
        self._pace: float | None = None
        self._saved = time.monotonic()
        if checkpoint.is_file():
            self._resume()

    def run(self, advance: Callable[[Reached], None], seconds: float | None = None, *, paced: bool = False) -> None:
        """Train to the end of the recipe. Whatever stops it, the last checkpoint is at most two minutes old.

        Args:
            advance: called after each step and each validation.
            seconds: stop after so many of this call, if that is sooner.
            paced: the learning rate goes through the whole recipe within those seconds, however few steps they are.

        Raises:
            DataError: the loss is no number any more, or a pack is damaged.
            OutputError: the checkpoint cannot be written; the last one is kept.
        """
        began = time.monotonic()
        self._started = began - self.reached.seconds
        self._pace = self.reached.seconds + seconds if paced and seconds else None
        drawn = iter(range(self.reached.step, self._recipe.steps))
        ahead = AHEAD * max(self._workers, self._drawers)
        with ThreadPoolExecutor(self._drawers, thread_name_prefix="drawing") as makers:
            waiting: list[Future[DrawnBatch]] = []

            def following() -> DrawnBatch | None:
                if seconds is not None and time.monotonic() - began > seconds:
                    return None
                with self._lock:
                    while len(waiting) <= ahead and (step := next(drawn, None)) is not None:
                        waiting.append(makers.submit(self._drawer.batch, step))
                    future = waiting.pop(0) if waiting and self._failure is None else None
                return future.result() if future else None

            threads = [
                threading.Thread(target=self._work, args=(following, advance), name=f"learning-{number}")
                for number in range(self._workers)
            ]
            for thread in threads:
                thread.start()
            try:
                for thread in threads:
                    thread.join()
            except BaseException as error:
                self._failure = error
                for thread in threads:
                    thread.join()
                self._failure = None
                raise
            finally:
                for future in waiting:
                    future.cancel()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        self.reached.seconds = time.monotonic() - self._started
        self._measure(advance)
        self._save()

    def _work(self, following: Callable[[], DrawnBatch | None], advance: Callable[[Reached], None]) -> None:
        try:
            if self._device.type == "cpu" and self._workers > 1:
                torch.set_num_threads(1)
            own = self._pair if self._workers == 1 else self._pair.copy()
            while (batch := following()) is not None:
                if own is not self._pair:
                    with self._lock:
                        own.take(self._pair)
                loss, gradients = own.learn(batch, self._recipe)
                with self._lock:
                    due = self._apply(own, gradients, loss, len(batch.label), advance)
                    if due:
                        self._measure(advance)
                        self._save()
        except BaseException as error:  # told by `run`, which every worker ends
            self._failure = self._failure or error

    def _apply(
        self,
        own: _Learner,
        gradients: Sequence[torch.Tensor],
        loss: float,
        patches: int,
        advance: Callable[[Reached], None],
    ) -> bool:
        """One step of the shared weights; whether a validation is due."""
        recipe, reached = self._recipe, self.reached
        if not math.isfinite(loss):
            raise DataError("training", f"the loss is {loss} at step {reached.step}", "lower the learning rate")
        passed = 0.0 if self._pace is None else min(1.0, reached.seconds / self._pace)
        rate = learning_rate(recipe, reached.step if self._pace is None else int(passed * recipe.steps))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        for parameter, gradient in zip(self._pair.parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(self._pair.parameters, 5.0)
        self._optimizer.step()
        if own is not self._pair:
            self._pair.take_statistics(own)
        reached.step += 1
        reached.patches += patches
        reached.seconds = time.monotonic() - self._started
        reached.loss = loss if math.isnan(reached.loss) else reached.loss + (loss - reached.loss) / 50
        # At first the average would be of the start.
        decay = min(recipe.average, (1 + reached.step) / (10 + reached.step))
        state = self._pair.network.state_dict()
        for key, value in self._average.items():
            if value.is_floating_point():
                value.lerp_(state[key], 1 - decay)
            else:
                value.copy_(state[key])
        advance(reached)
        if time.monotonic() - self._saved > SAVED_EVERY:
            self._save()
        return reached.step % recipe.validate_every == 0

    def averaged(self) -> LoadedModel:
        """The model with the averaged weights, float32 on the CPU: what is shipped."""
        network = copy.deepcopy(self._plain)
        network.load_state_dict({key: value.cpu() for key, value in self._average.items()})
        return LoadedModel(self.model.spec, network)

    def _measure(self, advance: Callable[[Reached], None]) -> None:
        if self._held is None or (self.reached.curve and self.reached.curve[-1]["step"] == self.reached.step):
            return
        figures: dict[str, SetFigures] = self._held.measure(self.averaged())
        self.reached.curve.append(
            {
                "step": self.reached.step,
                "patches": self.reached.patches,
                "seconds": round(self.reached.seconds),
                "loss": None if math.isnan(self.reached.loss) else round(self.reached.loss, 4),
                "sets": {name: asdict(figure) for name, figure in figures.items()},
            }
        )
        advance(self.reached)

    def _save(self) -> None:
        write_checkpoint(
            self._checkpoint,
            {
                "schema": CHECKPOINT_SCHEMA,
                "network": self._pair.network.state_dict(),
                "head": self._pair.head.state_dict() if self._pair.head else {},
                "average": self._average,
                "optimizer": self._optimizer.state_dict(),
                "reached": asdict(self.reached),
            },
        )
        self._saved = time.monotonic()

    def _resume(self) -> None:
        try:
            state = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
            if state["schema"] != CHECKPOINT_SCHEMA:
                raise LookupError(state["schema"])
            self._pair.network.load_state_dict(state["network"])
            if self._pair.head:
                self._pair.head.load_state_dict(state["head"])
            self._average = state["average"]
            self._optimizer.load_state_dict(state["optimizer"])
            self.reached = Reached(**state["reached"])
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            raise DataError(
                str(self._checkpoint), "damaged or of another network", "remove it to start again"
            ) from error


class _Learner:
    """A network, with its training-only head where it marks pixels; gives a batch's gradients."""

    def __init__(self, network: nn.Module, device: torch.device, teacher: nn.Module | None = None) -> None:
        self.network = network.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]  # torch's stubs know 4-d tensors only
        self.head: EncoderHead | None = None
        if isinstance(network, UnetGraph | UnetLite0):
            self.head = EncoderHead(network.encoders, encoder_channels(network)).to(device)
        self.parts = nn.ModuleList([self.network, *([self.head] if self.head else [])])
        self.parameters = list(self.parts.parameters())
        self._device = device
        self._narrow = _narrow_pays(device)
        self._teacher = teacher.to(device, memory_format=torch.channels_last).eval() if teacher else None  # type: ignore[call-overload]  # as above

    def copy(self) -> _Learner:
        """One with the same weights, of its own."""
        network = copy.deepcopy(self.network)
        if isinstance(network, UnetGraph | UnetLite0):
            for encoder in network.encoders:
                encoder._forward_hooks.clear()
        return _Learner(network, self._device, self._teacher)

    def take(self, other: _Learner) -> None:
        """The other's weights and statistics."""
        with torch.no_grad():
            for mine, given in zip(self.parameters, other.parameters, strict=True):
                mine.copy_(given)
        self.take_statistics(other)

    def take_statistics(self, other: _Learner) -> None:
        """The other's running means and variances."""
        for mine, given in zip(self.parts.buffers(), other.parts.buffers(), strict=True):
            mine.copy_(given)

    def learn(self, batch: DrawnBatch, recipe: Recipe) -> tuple[float, list[torch.Tensor]]:
        """The loss and its gradients."""
        pixels = torch.from_numpy(batch.pixels).to(self._device).permute(0, 3, 1, 2)
        truth, taught, label = (
            torch.from_numpy(each).to(self._device) for each in (batch.truth, batch.taught, batch.label)
        )
        mean, std = self.scale
        with torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._narrow):
            picture = ((pixels.float() - mean) / std).contiguous(memory_format=torch.channels_last)
            coarse = self.network.coarse if isinstance(self.network, UnetLite0) else self.network
            logits = coarse(picture).float().squeeze(1)
        if self.head is None:
            loss = presence_loss(logits.flatten(), label)
            return float(loss.detach()), list(torch.autograd.grad(loss, self.parameters))
        if logits.shape[-1] != truth.shape[-1]:
            logits = functional.interpolate(logits[:, None], truth.shape[-2:], mode="area").squeeze(1)
        loss = mask_loss(logits, truth, taught, recipe.dice)
        loss = loss + recipe.picture_loss * presence_loss(pooled_logits(logits), label)
        loss = loss + recipe.encoder_loss * presence_loss(self.head(), label)
        if self._teacher is not None:
            loss = loss + recipe.teacher_loss * self._distance(self._teacher, picture, logits)
        gradients = torch.autograd.grad(loss, self.parameters)
        return float(loss.detach()), list(gradients)

    def _distance(self, teacher: nn.Module, picture: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """How far the logits [N, H, W] are from the teacher's."""
        with torch.no_grad(), torch.autocast(self._device.type, dtype=torch.bfloat16, enabled=self._narrow):
            taught = teacher(picture).float()
        taught = functional.interpolate(taught, logits.shape[-2:], mode="area").squeeze(1)
        by_pixel = functional.smooth_l1_loss(logits, taught)
        return by_pixel + functional.smooth_l1_loss(pooled_logits(logits), pooled_logits(taught))

    @property
    def scale(self) -> tuple[float, float]:
        """Mean and spread of the network's input in grey levels."""
        return 128.0, 128.0 if isinstance(self.network, UnetLite0) else 64.0


def _narrow_pays(device: torch.device) -> bool:
    """Return whether bfloat16 is faster than float32; a CPU without instructions for it is slower with it."""
    if device.type == "cuda":
        return True
    able = torch.cpu.get_capabilities()
    return bool(able.get("amx_bf16", False) or able.get("avx512_bf16", False))


def learning_rate(recipe: Recipe, step: int) -> float:
    """The learning rate of a step, from 0."""
    stage, far = recipe.stage(step)
    first, last = stage.rate
    rate = last + (first - last) * (1 + math.cos(math.pi * far)) / 2
    return rate * min(1.0, (step + 1) / max(1, recipe.warmup_steps))


def encoder_channels(network: UnetGraph | UnetLite0) -> int:
    """Channels of all encoder steps together."""
    norms = [
        [part for part in block.modules() if isinstance(part, nn.BatchNorm2d | nn.InstanceNorm2d)]
        for block in network.encoders
    ]
    return sum(parts[-1].num_features for parts in norms)

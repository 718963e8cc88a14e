"""Small models and a fake engine whose answers name the crops they belong to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from streamguard.models import LoadedModel, networks
from streamguard.models.architectures import build
from streamguard.types import Crop, Face, UInt8Array


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [t for t in threading.enumerate() if t not in before and t.name.startswith("streamguard")]
    assert not left


def small_model(seed: int = 0, gain: float = 40.0) -> LoadedModel:
    """A Unet of four channels and two resolutions whose masks have both fake and true pixels."""
    whole = networks.fresh("unet_v1", seed)
    spec = replace(whole.spec, name="small", features=4, steps=2, digest=f"small{seed}", smallest_component=20)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = build(spec)
        network.head.weight.mul_(gain)
        network.head.bias.zero_()
    return LoadedModel(spec, network)


@pytest.fixture(scope="session")
def model() -> LoadedModel:
    return small_model()


def crop(number: int) -> Crop:
    """A crop whose pixels hold its number."""
    pixels = np.zeros((256, 256, 3), np.uint8)
    pixels[0, 0] = (number & 255, number >> 8 & 255, number >> 16)
    face = Face(1, (0, 0, 1, 1), 1.0, np.zeros((5, 2), np.float32))
    return Crop(face, np.eye(2, 3), pixels)


def number_of(probability: UInt8Array) -> int:
    """The number that `FakeEngine` read from the crop this mask belongs to."""
    low, middle, high = (int(value) for value in probability[0, :3])
    return low | middle << 8 | high << 16


class FakeEngine:
    """Answers each crop with its own number; may be held, and may fail on chosen numbers."""

    name = "fake"
    precision = "float32"
    device = "none"

    def __init__(self, max_batch: int = 4, fail_on: frozenset[int] = frozenset(), *, held: bool = False) -> None:
        self.max_batch = max_batch
        self.fail_on = fail_on
        self.batches: list[list[int]] = []
        self.threads: set[str] = set()
        self.started = threading.Semaphore(0)
        self.gate: threading.Semaphore | None = threading.Semaphore(0) if held else None

    def describe(self) -> str:
        return "fake"

    def infer(self, crops: UInt8Array) -> UInt8Array:
        numbers = [int(c[0]) | int(c[1]) << 8 | int(c[2]) << 16 for c in crops[:, 0, 0]]
        self.batches.append(numbers)
        self.threads.add(threading.current_thread().name)
        self.started.release()
        if self.gate is not None:
            assert self.gate.acquire(timeout=30)
        if self.fail_on & set(numbers):
            raise RuntimeError("the device is gone")
        answer = np.zeros(crops.shape[:3], np.uint8)
        answer[:, 0, :3] = crops[:, 0, 0]
        return answer

    def release(self, count: int = 1) -> None:
        """Let `count` batches pass."""
        assert self.gate is not None
        self.gate.release(count)

    def close(self) -> None:
        pass

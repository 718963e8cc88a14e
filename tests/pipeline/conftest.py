"""Streams made by hand: frames, a face that is always there, and a judge that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from streamguard.errors import EngineFailed
from streamguard.faces import Detections, FaceFinder, QualityGate
from streamguard.media import SourceItem, Up
from streamguard.pipeline.sampling import Sampled
from streamguard.pipeline.stream import Names, Stages, StreamPipeline
from streamguard.types import Crop, Frame, Mask, Picture
from streamguard.verdict import FrameRule, ScoreCalibration, StreamVote, VoteSettings

RATE = 20.0
VOTE = VoteSettings(window=1.0, quorum=4, min_span=0.1, open_share=0.5, close_share=0.3, min_hold=0.5)
UP = Up(0, 128, 96, RATE, "h264", True, None, None)


def frame(index: int, epoch: int = 0) -> Frame:
    """A frame of noise whose luma mean is its index."""
    random = np.random.default_rng(index)
    luma = random.integers(0, 255, (96, 128), np.uint8)
    chroma = np.full((48, 64), 128, np.uint8)
    return Frame("test", epoch, index, index / RATE, 0.0, Picture(luma, chroma, chroma))


class OneFace:
    """A detector that finds the same face in each picture."""

    def detect(self, picture: Picture) -> Detections:
        box = np.array([[32.0, 16.0, 96.0, 80.0]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.full((1, 5, 2), 50, np.float32))


class Judge:
    """Calls the face fake in the frames named, fails in others, and counts what it has in hand.

    Args:
        fake, failing: numbers of the submits concerned, from 0.
        held: answers wait for `release`.
    """

    def __init__(self, fake: Sequence[int] = (), failing: Sequence[int] = (), *, held: bool = False) -> None:
        self.fake, self.failing = set(fake), set(failing)
        self.gate = asyncio.Semaphore(0) if held else None
        self._moved = asyncio.Event()
        self.submits = self.in_hand = self.most_in_hand = self.cancelled = 0

    def release(self, count: int = 1) -> None:
        """Let `count` answers out."""
        assert self.gate is not None
        for _ in range(count):
            self.gate.release()

    async def until_in_hand(self, count: int) -> None:
        """Wait until so many submits wait for their answers."""
        async with asyncio.timeout(10):
            while self.in_hand < count:
                self._moved.clear()
                await self._moved.wait()

    async def submit(self, stream: str, crops: Sequence[Crop]) -> list[Mask]:
        number, self.submits = self.submits, self.submits + 1
        self.in_hand += 1
        self.most_in_hand = max(self.most_in_hand, self.in_hand)
        self._moved.set()
        try:
            if self.gate is not None:
                await self.gate.acquire()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.in_hand -= 1
        if number in self.failing:
            raise EngineFailed("fake", f"failed at {number}", "mend it")
        level = 255 if number in self.fake else 0
        return [Mask(crop, np.full((256, 256), level, np.uint8)) for crop in crops]


MakePipeline = Callable[..., StreamPipeline]


@pytest.fixture
def make_pipeline() -> Iterator[MakePipeline]:
    """Items and a judge -> a pipeline whose face is judged from the second frame on."""
    with ThreadPoolExecutor(1) as executor:

        def make(items: AsyncIterator[SourceItem], judge: Judge, in_flight: int = 4) -> StreamPipeline:
            finder = FaceFinder(OneFace(), QualityGate(settle=0.0), 1.4)
            stages = Stages(finder, judge, FrameRule(0.5, 100, ScoreCalibration(1.0, 0.0)), StreamVote(VOTE))
            names = Names("test", "m@1", lambda: "e-1")
            return StreamPipeline(names, Sampled(items), stages, executor, in_flight)

        yield make

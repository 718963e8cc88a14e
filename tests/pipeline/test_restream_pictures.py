"""Every picture of the source goes out, judged or not, and masks are where the faces are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from streamguard.media import open_source
from streamguard.pipeline.restream import Restream
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Crop, Face, FaceVerdict, Frame, Mask, Picture, UInt8Array, Verdict
from streamguard.verdict import StreamState

RATE, EVERY, LATE = 25, 5, 3
"""Pictures a second; one of so many is judged; and so many pictures later its report comes."""
SPEED = 6
"""Pixels from picture to picture by which the face moves to the right."""
FIRST = RATE
"""As there is no sound, the output begins a second late."""


def picture(width: int = 640, height: int = 240) -> Picture:
    grey = np.full((height // 2, width // 2), 128, np.uint8)
    return Picture(np.full((height, width), 120, np.uint8), grey, grey)


GREY = picture()


@dataclass(frozen=True)
class Source:
    """Grey pictures with a face of 80 by 80 pixels that moves, and is fake in its middle."""

    epoch: int = 0
    begin: int = 0
    image: Picture = GREY

    def frame(self, index: int) -> Frame:
        now = (self.begin + index) / RATE
        return Frame("s", self.epoch, index, index / RATE, now, self.image)

    def report(self, index: int) -> FrameReport:
        left = float(place(index) - 40)
        face = Face(1, (left, 80.0, left + 80.0, 160.0), 0.9, np.zeros((5, 2), np.float32))
        affine = np.array([[80 / 256, 0.0, left], [0.0, 80 / 256, 80.0]])
        probability = np.zeros((256, 256), np.uint8)
        probability[96:160, 96:160] = 255
        mask = Mask(Crop(face, affine, np.zeros((256, 256, 3), np.uint8)), probability)
        verdict = FaceVerdict(face, Verdict.FAKE, None, 1.0, mask=mask)
        return FrameReport(self.frame(index), (verdict,), StreamState(index / RATE, Verdict.UNKNOWN, {}, ()))


def place(index: int) -> int:
    """Where the middle of the face is in a picture, from the left."""
    return 60 + SPEED * index


async def send(restream: Restream, source: Source, count: int, reported: Callable[[int], bool]) -> None:
    """Pictures as they would come, and their reports, but no faster than they are encoded."""
    for index in range(count):
        restream.frame(source.frame(index))
        judged = index - LATE
        if judged >= 0 and judged % EVERY == 0 and reported(judged):
            restream.report(source.report(judged))
        await encoded(restream, index)


async def encoded(restream: Restream, index: int) -> None:
    """Until no picture waits for the encoder, and the output is open: until then it has one group of pictures."""
    async with asyncio.timeout(60):
        # There is no event of a single picture, and this is no matter of time.
        while restream._delay.due or (index > FIRST + RATE and not restream.outputs[0].up):  # noqa: ASYNC110
            await asyncio.sleep(0)


def arrived(path: Path) -> Iterator[tuple[float, UInt8Array]]:
    """Times and chroma of what was sent, uint8 [height / 2, width / 2, 2]."""
    with open_source(path) as source:
        for one in source:
            yield one.time, np.dstack([one.picture.u, one.picture.v])


def mask_at(chroma: UInt8Array) -> float | None:
    """The middle of what is coloured in the middle rows of the face, where its box has no lines, from the left."""
    coloured = np.abs(chroma[56:64].astype(int) - 128).max(axis=2) > 25
    columns = np.nonzero(coloured.sum(axis=0) > 4)[0]
    return None if len(columns) == 0 else float(columns.mean() * 2 + 1)


async def test_pictures_between_two_judged_ones_go_out_with_masks_moved_on(tmp_path: Path) -> None:
    async with Restream([str(tmp_path / "out.ts")], 0.5, title=False) as restream:
        await send(restream, Source(), 85, lambda _: True)
    assert (restream.dropped, restream.failures) == (0, 0)
    shown = list(arrived(tmp_path / "out.ts"))
    assert len(shown) == 85 - FIRST
    assert np.diff([time for time, _ in shown]) == pytest.approx(1 / RATE, abs=0.002)
    for index, (_, chroma) in enumerate(shown, FIRST):
        found = mask_at(chroma)
        assert found is not None, index
        # Judged pictures have their own masks; a mask that stays where it was is 12 pixels behind.
        assert abs(found - place(index)) <= (2 if index % EVERY == 0 else 4), index


@pytest.mark.parametrize("until", [0, 40])
async def test_pictures_go_out_when_judging_stalls(tmp_path: Path, until: int) -> None:
    async with Restream([str(tmp_path / "out.ts")], 0.5, title=False) as restream:
        await send(restream, Source(), 95, lambda index: index < until)
        assert len(restream._delay) <= RATE
        # And none is held back once the source stalls, too.
        async with asyncio.timeout(60):
            while len(restream._delay):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    assert (restream.dropped, restream.failures) == (0, 0)
    shown = list(arrived(tmp_path / "out.ts"))
    assert len(shown) == 95 - FIRST
    masks = [mask_at(chroma) is not None for _, chroma in shown]
    # What was known last is true for a second.
    last = until - EVERY + RATE if until else 0
    assert masks == [index < last for index in range(FIRST, 95)]


@pytest.mark.parametrize(
    "other", [Source(epoch=1, begin=60), Source(begin=60, image=picture(480))], ids=["connection", "size"]
)
async def test_nothing_of_one_connection_or_size_is_shown_on_another(tmp_path: Path, other: Source) -> None:
    async with Restream([str(tmp_path / "out.ts")], 0.5, title=False) as restream:
        await send(restream, Source(), 60, lambda _: True)
        for index in range(40):
            frame = other.frame(index)
            if other.epoch == 0:
                frame = replace(frame, index=60 + index, time=(60 + index) / RATE)
            restream.frame(frame)
            if index == 3:
                # The last picture of before is reported on only now.
                restream.report(Source().report(59))
            await encoded(restream, 60 + index)
    assert (restream.dropped, restream.failures) == (0, 0)
    shown = list(arrived(tmp_path / "out.ts"))
    masks = [mask_at(chroma) is not None for _, chroma in shown]
    assert masks == [True] * (60 - FIRST) + [False] * 40


async def test_late_reports_hold_nothing_up(tmp_path: Path) -> None:
    """Each report comes when its picture has long gone, and is good for what follows."""
    async with Restream([str(tmp_path / "out.ts")], 0.5, title=False) as restream:
        for index in range(90):
            restream.frame(Source().frame(index))
            if index >= 30 and index % EVERY == 0:
                restream.report(Source().report(index - 30))
            await encoded(restream, index)
    shown = list(arrived(tmp_path / "out.ts"))
    assert len(shown) == 90 - FIRST
    assert sum(mask_at(chroma) is not None for _, chroma in shown) > 40

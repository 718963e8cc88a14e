"""A guarded track in somebody else's aiortc program, and the plugins of somebody else's package."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import ClassVar

import aiohttp
import av
import numpy as np
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError

import streamguard
from streamguard import Event, FrameReport, GuardedTrack, WatchOptions
from streamguard.errors import ConfigError, SourceNotFound, UnsupportedMedia
from streamguard.faces import CenterFaceDetector, Detections
from streamguard.media import SourceItem, Up, picture_from_rgb
from streamguard.media.aiortc_hooks import close_connection
from streamguard.pipeline import extensions
from streamguard.pipeline.guard import Guard
from streamguard.server import sinks
from streamguard.server.app import Server
from streamguard.types import EventKind, Frame, Picture, Verdict
from tests.server.conftest import ServeWith
from tests.server.peers import PortraitTrack, told, until
from tests.support.portraits import RATE, portrait_pictures


@asynccontextmanager
async def opened(detector: Path) -> AsyncIterator[Guard]:
    """A guard with the exact detector."""
    async with Guard.open(str(detector), "torch") as guard:
        yield guard


async def test_a_track_of_an_aiortc_program_is_guarded_in_one_line(detector: Path) -> None:
    seen: list[FrameReport | Event] = []
    async with opened(detector) as guard:
        sender, receiver = (RTCPeerConnection(RTCConfiguration(iceServers=[])) for _ in range(2))
        track = GuardedTrack(PortraitTrack(), guard, seen.append, name="call")
        sender.addTrack(track)
        got: list[object] = []
        receiver.on("track", got.append)
        await sender.setLocalDescription(await sender.createOffer())
        await receiver.setRemoteDescription(sender.localDescription)
        await receiver.setLocalDescription(await receiver.createAnswer())
        await sender.setRemoteDescription(receiver.localDescription)
        remote = got[0]
        reports: list[FrameReport] = []
        async with asyncio.timeout(30):
            while not reports or reports[-1].state.state is not Verdict.FAKE:
                frame = await remote.recv()  # type: ignore[attr-defined]
                reports = [item for item in seen if isinstance(item, FrameReport)]
            for _ in range(8):
                frame = await remote.recv()  # type: ignore[attr-defined]
        x0, y0, x1, y1 = (round(value) for value in reports[-1].faces[0].face.box)
        rgb = frame.to_ndarray(format="rgb24")[y0:y1, x0:x1]
        middle = rgb[rgb.shape[0] // 3 : -rgb.shape[0] // 3, rgb.shape[1] // 3 : -rgb.shape[1] // 3]
        assert middle[..., 0].mean() > middle[..., 1].mean()
        assert EventKind.FAKE_OPENED in {item.kind for item in seen if isinstance(item, Event)}
        await close_connection(sender)
        await close_connection(receiver)
        await track.aclose()


async def test_pictures_pass_untouched_without_overlay_and_keep_their_times(detector: Path) -> None:
    async with opened(detector) as guard:
        source = PortraitTrack()
        track = GuardedTrack(source, guard, overlay="none")
        times = [(await track.recv()).pts for _ in range(3)]
        assert times == [0, 4500, 9000]
        track.stop()
        assert source.readyState == "ended"
        with pytest.raises(MediaStreamError):
            await track.recv()
        await track.aclose()


async def test_exact_pictures_carry_their_own_masks_and_times(detector: Path) -> None:
    seen: list[FrameReport] = []
    async with opened(detector) as guard:
        # It is fake every other second: masks that belong to another picture would show.
        source = AlternatingTrack()
        track = GuardedTrack(source, guard, lambda item: _keep(seen, item), overlay="exact", options=_QUICK)
        async with asyncio.timeout(60):
            pictures = [await track.recv() for _ in range(40)]
        reports = {report.frame.index: report for report in seen}
        for picture in pictures:
            assert picture.time_base == Fraction(1, 90_000)
            index = round(picture.pts / 90_000 * RATE)
            assert picture.pts == round(index / RATE * 90_000)
            _is_painted_as_judged(picture, reports[index], fake=source.fake(index))
        times = [picture.pts for picture in pictures]
        assert times == sorted(set(times))
        assert {source.fake(index) for index in reports} == {True, False}
        await track.aclose()
        with pytest.raises(MediaStreamError):
            await track.recv()
        assert source.readyState == "ended"


async def test_an_exact_track_ends_when_its_source_does_with_all_that_was_judged(detector: Path) -> None:
    async with opened(detector) as guard:
        source = AlternatingTrack(pictures=12)
        track = GuardedTrack(source, guard, overlay="exact")
        times: list[int] = []

        async def all_of_it() -> None:
            while True:
                times.append((await track.recv()).pts)

        async with asyncio.timeout(60):
            with pytest.raises(MediaStreamError):
                await all_of_it()
        # The last picture is never replaced by a newer one.
        assert times[-1] == round(11 / RATE * 90_000)
        assert len(times) + track.dropped == 12
        await track.aclose()


async def test_an_exact_track_tells_why_its_pictures_cannot_be_judged(detector: Path) -> None:
    async with opened(detector) as guard:
        track = GuardedTrack(AlternatingTrack(broken_at=3), guard, overlay="exact")

        async def all_of_it() -> None:
            while True:
                await track.recv()

        async with asyncio.timeout(60):
            with pytest.raises(UnsupportedMedia):
                await all_of_it()
        await track.aclose()


async def test_no_such_overlay(detector: Path) -> None:
    async with opened(detector) as guard:
        with pytest.raises(ValueError, match="live, exact, none"):
            GuardedTrack(PortraitTrack(), guard, overlay="bold")


_QUICK = WatchOptions(detect_every=1)


class AlternatingTrack(PortraitTrack):
    """A portrait whose face is green in every other second."""

    def __init__(self, *, pictures: int | None = None, broken_at: int | None = None) -> None:
        super().__init__(seconds=2.0, fake_from=1.0)
        self._left, self._broken_at, self._sent = pictures, broken_at, 0

    def fake(self, index: int) -> bool:
        """Whether that picture is."""
        return index / RATE % 2.0 >= 1.0

    async def recv(self) -> av.VideoFrame:
        """The next picture; the end after so many; one that nobody can use."""
        if self._left is not None:
            if self._left == 0:
                raise MediaStreamError
            self._left -= 1
        frame = await super().recv()
        self._sent += 1
        if self._sent - 1 == self._broken_at:
            return av.VideoFrame(3842, 2160, "yuv420p")
        return frame


def _keep(reports: list[FrameReport], item: FrameReport | Event) -> None:
    if isinstance(item, FrameReport):
        reports.append(item)


def _is_painted_as_judged(picture: av.VideoFrame, report: FrameReport, *, fake: bool) -> None:
    """Green is covered with orange in the picture in which it was found, and skin is left alone."""
    for verdict in report.faces:
        if verdict.state is Verdict.UNKNOWN:
            continue
        assert (verdict.state is Verdict.FAKE) == fake
        x0, y0, x1, y1 = (round(value) for value in verdict.face.box)
        rgb = picture.to_ndarray(format="rgb24")[y0:y1, x0:x1]
        middle = rgb[rgb.shape[0] // 3 : -rgb.shape[0] // 3, rgb.shape[1] // 3 : -rgb.shape[1] // 3]
        red, green, blue = middle.reshape(-1, 3).mean(axis=0)
        assert red > green
        assert (green - blue > 45) == fake


class NobodyThere:
    """A face detector that finds nobody."""

    def detect(self, picture: Picture) -> Detections:
        """No faces."""
        return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


async def portraits(stream: str, url: str) -> AsyncGenerator[SourceItem, None]:
    """A source plugin: a portrait, `portrait://SECONDS` long."""
    yield Up(0, 320, 240, 20.0, "raw", True, None, None)
    for index, rgb in enumerate(portrait_pictures(float(url.partition("://")[2]), (0.0, 100.0))):
        await asyncio.sleep(0.05)
        yield Frame(stream, 0, index, index / 20, asyncio.get_running_loop().time(), picture_from_rgb(rgb))
    raise SourceNotFound(url, "that was all")


class ListSink:
    """A sink plugin that keeps what it gets, and chokes on the first event."""

    got: ClassVar[list[Event]] = []
    closed = 0

    async def put(self, event: Event) -> None:
        """Keep it."""
        if not self.got and event.kind is EventKind.STREAM_UP:
            raise LookupError
        self.got.append(event)

    async def aclose(self) -> None:
        """Count it."""
        ListSink.closed += 1


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package is installed that brings a source, a face detector and a sink."""
    here = __name__
    points = [
        metadata.EntryPoint("portrait", f"{here}:portraits", extensions.SOURCES),
        metadata.EntryPoint("nobody", f"{here}:NobodyThere", extensions.DETECTORS),
        metadata.EntryPoint("list", f"{here}:ListSink", sinks.GROUP),
    ]
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point for point in points if point.group == group])
    caches = (extensions.source_plugins, extensions.detectors, sinks.sink_plugins)
    for cached in caches:
        cached.cache_clear()
    ListSink.got.clear()
    yield
    for cached in caches:
        cached.cache_clear()


async def test_a_source_plugin(installed: None, detector: Path) -> None:
    kinds: list[EventKind] = []
    shown: list[int] = []
    async with opened(detector) as guard:

        async def watch() -> None:
            async for item in guard.watch("portrait://2", frames=lambda frame: shown.append(frame.index)):
                if isinstance(item, Event):
                    kinds.append(item.kind)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(SourceNotFound):
            await watch()
    assert kinds[:2] == [EventKind.STREAM_UP, EventKind.FAKE_OPENED]
    assert shown == list(range(len(shown)))
    assert len(shown) > 20


async def test_a_detector_plugin(installed: None, detector: Path, half_fake: Path) -> None:
    async with opened(detector) as guard:
        options = WatchOptions(detector="nobody")
        reports = [item async for item in guard.watch(str(half_fake), options=options) if isinstance(item, FrameReport)]
        assert len(reports) == 120
        assert not any(report.faces for report in reports)
        with pytest.raises(ConfigError, match="one of centerface, nobody"):
            async for _ in guard.watch(str(half_fake), options=WatchOptions(detector="none")):
                pass
    assert isinstance(extensions.make_detector("centerface"), CenterFaceDetector)


async def test_a_source_and_a_sink_in_the_server(installed: None, serve_with: ServeWith) -> None:
    streams = [{"name": "art", "source": "portrait://3"}]
    async with serve_with(sinks=["list"], streams=streams) as (server, http):
        assert isinstance(server, Server)
        assert isinstance(http, aiohttp.ClientSession)
        # It may come back: it is opened again.
        await until(lambda: server.events.counts[EventKind.STREAM_DOWN])
        (down,) = await told(server, kind=EventKind.STREAM_DOWN)
        assert "that was all" in down.detail
    # The first event was lost to the sink's own fault, and to nobody else.
    wanted = [EventKind.FAKE_OPENED, EventKind.FAKE_CLOSED, EventKind.STREAM_DOWN]
    assert [event.kind for event in ListSink.got][:3] == wanted
    assert ListSink.closed == 1
    with pytest.raises(ConfigError, match="no sink"):
        async with serve_with(sinks=["none"]):
            pass


async def test_a_sink_that_hangs_loses_the_oldest_only() -> None:
    gate = asyncio.Event()
    got: list[str] = []

    class Hanging:
        async def put(self, event: Event) -> None:
            await gate.wait()
            got.append(event.id)

        async def aclose(self) -> None:
            pass

    from tests.server.test_api import event

    runner = sinks.SinkRunner("hanging", Hanging())
    for number in range(1100):
        runner.put(event(number))
        if number == 0:
            await asyncio.sleep(0)
    assert runner.dropped == 99
    gate.set()
    await runner.aclose()
    assert len(got) == 1001
    assert got[:2] == ["id0", "id100"]


def test_the_name_is_public() -> None:
    assert streamguard.GuardedTrack is GuardedTrack

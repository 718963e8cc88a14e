"""A guarded stream sent on: to real servers, files and folders; in sync; and no fault of theirs is one of the guard."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import time
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest

from streamguard.errors import OutputError
from streamguard.media import open_source
from streamguard.media.output import PushStatus
from streamguard.pipeline.annotate import annotated
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.restream import Restream
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Frame, Picture
from streamguard.verdict import StreamVote
from tests.pipeline.restreaming import play, recorded
from tests.support.flash_beep import flash_beep_clip, offsets
from tests.support.hosts import refused_port, silent_host
from tests.support.media_files import make_video
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.portraits import portrait_clip
from tests.support.rtsp_recorder import RtspRecorder
from tests.support.rtsp_server import RtspServer
from tests.support.sounding import with_tone

SYNC = 0.04
"""Seconds by which flash and beep may be apart."""


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return flash_beep_clip(tmp_path_factory.mktemp("sync") / "in.mp4", 4)


def sent(restream: Restream, pictures: int) -> Callable[[], bool]:
    """Whether every output has got so many pictures."""
    return lambda: all(status.sent >= pictures for status in restream.outputs)


def then(first: Callable[[], bool], restream: Restream, pictures: int) -> Callable[[], bool]:
    """Whether the output got so many pictures after `first` had come true."""
    begun: list[int] = []

    def enough() -> bool:
        count = restream.outputs[0].sent
        if not begun and first():
            begun.append(count)
        return bool(begun) and count > begun[0] + pictures

    return enough


def assert_in_sync(clip: Path, arrived: Path | str, least: int = 3) -> None:
    before, after = offsets(clip), offsets(arrived)
    assert len(after) >= least
    # The first one may be cut, and a server that records may need a moment to learn the sender's clock.
    assert abs(float(np.median(after))) < SYNC
    assert abs(float(np.median(after)) - float(np.median(before))) < SYNC


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
async def test_files_and_segments_are_in_sync(tmp_path: Path, suffix: str) -> None:
    clip = flash_beep_clip(tmp_path / f"in.{suffix}", 4)
    folder = tmp_path / "hls"
    folder.mkdir()
    async with Restream([str(tmp_path / "out.ts"), str(folder)], 0.5) as restream:
        await play(restream, f"loop:{clip}", sent(restream, 150))
    assert_in_sync(clip, tmp_path / "out.ts", 5)
    assert_in_sync(clip, folder / "live.m3u8", 5)
    assert [status.failures for status in restream.outputs] == [0, 0]
    assert (restream.dropped, restream.failures) == (0, 0)


async def test_sound_is_passed_on_byte_by_byte(clip: Path, tmp_path: Path) -> None:
    async with Restream([str(tmp_path / "out.ts")], 0.5) as restream:
        await play(restream, f"loop:{clip}", sent(restream, 60))

    def packets(path: Path) -> list[bytes]:
        with av.open(str(path)) as file:
            # MPEG-TS puts seven bytes (ADTS) before each packet of AAC.
            skip = 7 if path.suffix == ".ts" else 0
            return [bytes(one)[skip:] for one in file.demux(audio=0) if one.size]

    before, after = packets(clip), packets(tmp_path / "out.ts")
    assert len(after) > 80
    begin = before.index(after[20]) - 20
    # As far as the file goes in one round.
    assert before[begin : begin + len(after)] == after[: len(before) - begin]


async def test_rtsp_push(clip: Path, tmp_path: Path) -> None:
    with RtspRecorder(tmp_path / "out.mkv", user="bob", password="s3cret") as server:
        async with Restream([server.url], 0.5) as restream:
            await play(restream, f"loop:{clip}", sent(restream, 200))
        assert "s3cret" not in repr(restream.outputs)
    assert_in_sync(clip, tmp_path / "out.mkv")
    assert restream.outputs[0].failures == 0


async def test_rtmp_push(clip: Path, tmp_path: Path) -> None:
    with NginxRtmp() as server:
        url = server.url("out")
        async with recorded(url, tmp_path / "out.mkv") as flows, Restream([url], 0.5) as out:
            await play(out, f"loop:{clip}", then(flows.is_set, out, 150))
    assert_in_sync(clip, tmp_path / "out.mkv")


async def test_transport_stream_by_udp(clip: Path, tmp_path: Path) -> None:
    port = free_udp_port()
    async with (
        recorded(f"udp://127.0.0.1:{port}", tmp_path / "out.mkv", format="mpegts") as flows,
        Restream([f"udp://127.0.0.1:{port}"], 0.5) as out,
    ):
        await play(out, f"loop:{clip}", then(flows.is_set, out, 150))
    assert_in_sync(clip, tmp_path / "out.mkv")


async def test_a_folder_holds_a_window_that_slides(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "100% live"
    folder.mkdir()
    async with Restream([str(folder / "cam.m3u8")], 0.5) as restream:
        # Sixteen segments of two seconds, faster than they play.
        vote = StreamVote()
        with open_source(f"loop:{clip}", sound=partial(restream.sound, 0)) as source:
            for one in itertools.takewhile(lambda one: one.time < 32, source):
                frame = Frame("s", 0, one.index, one.time, one.time, one.picture)
                restream.report(FrameReport(frame, (), vote.push(one.time, [])))
                # There is no event of a single picture, and this is no matter of time.
                while restream.outputs[0].sent + restream.outputs[0].dropped < one.index - 4:  # noqa: ASYNC110
                    await asyncio.sleep(0)
    playlist = (folder / "cam.m3u8").read_text()
    named = re.findall(r"^(cam-\d+\.ts)$", playlist, flags=re.MULTILINE)
    assert 5 <= len(named) <= 7
    assert all((folder / name).stat().st_size for name in named)
    assert len(list(folder.glob("*.ts"))) <= 14
    assert not list(folder.glob("*.tmp"))
    lengths = [float(text) for text in re.findall(r"#EXTINF:([\d.]+)", playlist)]
    assert lengths[:-1] == pytest.approx([2.0] * (len(lengths) - 1), abs=0.1)


async def test_every_picture_goes_out_and_judged_ones_with_their_own_masks(detector: Path, tmp_path: Path) -> None:
    # The face turns green and back twice a second: a mask of the picture before or behind would show.
    source = with_tone(portrait_clip(tmp_path / "silent.mp4", 6.0, (0.0, 0.25), every=0.5), tmp_path / "in.mp4")
    came: list[float] = []
    wanted: dict[float, Picture] = {}

    def frames(frame: Frame) -> None:
        came.append(frame.time)
        restream.frame(frame)

    options = WatchOptions(judged_per_second=5)
    async with (
        Guard.open(str(detector), "torch") as guard,
        Restream([str(tmp_path / "out.ts")], guard.spec.threshold) as restream,
        asyncio.timeout(60),
        aclosing(guard.watch(f"loop:{source}", options=options, sound=restream.sound, frames=frames)) as items,
    ):
        async for item in items:
            if isinstance(item, FrameReport):
                restream.report(item)
                # A picture waits for a second.
                if time.monotonic() - item.frame.arrived < 0.9:
                    wanted[item.frame.time] = annotated(item, guard.spec.threshold)
                if restream.outputs[0].sent > 130:
                    break
    with av.open(str(tmp_path / "out.ts")) as file:
        stream = file.streams.video[0]
        shown = [(frame.time, frame.to_ndarray()[:240].astype(int)) for frame in file.decode(stream)]
    # All of them are there: as they came, in order, and each at its own time.
    assert len(shown) > 130
    assert len(came) - len(shown) < 30
    assert len(wanted) < len(came) / 3

    def own(shift: float) -> list[float]:
        """How far the judged pictures are from what they should be, were the output's times so much behind."""
        planes = [(wanted.get(at(moment, shift)), plane) for moment, plane in shown]
        return [float(np.abs(plane - one.y).mean()) for one, plane in planes if one is not None]

    def at(moment: float, shift: float) -> float:
        return min(came, key=lambda one: abs(one + shift - moment))

    first = shown[0][0]
    shift = min((first - one for one in came[:30]), key=lambda shift: float(np.mean(own(shift))))
    assert len(own(shift)) > 10
    assert max(own(shift)) < 6
    for (moment, _), (after, _) in itertools.pairwise(shown):
        assert at(moment, shift) < at(after, shift)
        assert at(moment, shift) + shift == pytest.approx(moment, abs=0.002)


async def test_another_size_begins_the_output_anew(tmp_path: Path) -> None:
    for name, size in (("a", (160, 120)), ("b", (320, 240))):
        flash_beep_clip(tmp_path / f"{name}.mp4", 2, size=size)
    out = tmp_path / "out.ts"
    async with Restream([str(out)], 0.5) as restream:
        await play(restream, f"loop:{tmp_path}/a.mp4", sent(restream, 30))
        await play(restream, f"loop:{tmp_path}/b.mp4", sent(restream, 90))
    assert restream.outputs[0].failures == 0
    with open_source(out) as source:
        assert {(frame.picture.width, frame.picture.height) for frame in source} == {(160, 120), (320, 240)}


async def test_sound_an_output_has_no_place_for(tmp_path: Path) -> None:
    clip = flash_beep_clip(tmp_path / "in.mkv", 2, codec="libopus")
    told: list[PushStatus] = []
    with NginxRtmp() as server:
        async with Restream([server.url()], 0.5, on_change=told.append) as restream:
            await play(restream, f"loop:{clip}", sent(restream, 20))
    assert [status.up for status in told] == [True]
    assert "without sound: flv has no place for opus" in told[0].detail


async def test_a_source_without_sound(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "in.mp4", frames=50)
    with RtspRecorder(tmp_path / "out.mkv", mute=True) as server:
        async with Restream([server.url, str(tmp_path / "file.ts")], 0.5) as restream:
            await play(restream, f"loop:{clip}", sent(restream, 60))
    for name in ("out.mkv", "file.ts"):
        with open_source(tmp_path / name) as source:
            assert len(list(source)) > 40


async def test_dead_and_silent_targets_hold_up_nobody(clip: Path, tmp_path: Path) -> None:
    told: list[PushStatus] = []
    with silent_host() as port:
        targets = [
            f"rtmp://127.0.0.1:{refused_port()}/live/k3y",
            f"rtsp://bob:s3cret@127.0.0.1:{port}/in",
            f"rtmp://127.0.0.1:{port}/live/k3y",
            str(tmp_path / "out.ts"),
        ]
        async with Restream(targets, 0.5, on_change=told.append) as restream:
            count = await play(
                restream, f"loop:{clip}", lambda: restream.outputs[3].sent >= 60 and restream.outputs[0].failures > 1
            )
            statuses = restream.outputs
    assert restream.outputs[3].sent + restream.outputs[3].dropped > count - 10
    assert (restream.dropped, restream.failures) == (0, 0)
    assert not any(status.up for status in statuses[:3])
    assert "connection refused" in statuses[0].detail
    assert statuses[0].dropped > 0
    assert statuses[1].sent == statuses[2].sent == 0
    assert not re.search("s3cret|k3y", repr(told))


async def test_a_server_that_dies_and_comes_back(clip: Path) -> None:
    told: list[PushStatus] = []
    with NginxRtmp() as server:
        async with Restream([server.url()], 0.5, on_change=told.append) as restream:
            steps = [
                (sent(restream, 20), server.kill),
                (lambda: not restream.outputs[0].up, server.start),
                (then(lambda: restream.outputs[0].up, restream, 20), None),
            ]

            def enough() -> bool:
                reached, act = steps[0]
                if not reached():
                    return False
                del steps[0]
                if act is not None:
                    act()
                return not steps

            await play(restream, f"loop:{clip}", enough)
    ups = [status.up for status in told]
    assert ups[0]
    assert not all(ups)
    assert ups[-1]
    assert "broke off" in next(status.detail for status in told if not status.up)


async def test_the_output_outlives_its_source(clip: Path, tmp_path: Path) -> None:
    half = portrait_clip(tmp_path / "in.mp4", 3.0)
    with RtspServer(half, rate=20) as server:
        async with Restream([str(tmp_path / "out.ts")], 0.5) as restream:
            await play(restream, server.url, sent(restream, 30))
            server.kill()
            server.start()
            await play(restream, server.url, sent(restream, 60))
    with open_source(tmp_path / "out.ts") as source:
        times = [frame.time for frame in source]
    assert len(times) > 50
    assert times == sorted(set(times))


async def test_a_fault_of_the_encoder_is_counted(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with Restream([str(tmp_path / "out.ts")], 0.5) as restream:
        await play(restream, f"loop:{clip}", sent(restream, 5))

        def fail(*_: object, **__: object) -> None:
            raise MemoryError

        monkeypatch.setattr(restream._mixer, "picture", fail)
        await play(restream, f"loop:{clip}", lambda: restream.failures > 2)
    assert restream.failures > 2


@pytest.mark.parametrize(
    ("target", "cause"),
    [
        ("gopher://host/x", "nothing can be pushed"),
        ("rtsp:///x", "no host"),
        ("udp://127.0.0.1", "no port"),
        ("out.mkv", "no such kind"),
        ("", "it is empty"),
        ("nul\0byte.ts", "no path"),
    ],
)
def test_what_is_no_target(target: str, cause: str) -> None:
    with pytest.raises(OutputError, match=cause):
        Restream([target], 0.5)

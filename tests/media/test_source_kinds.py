"""What broadcasts bring: streams joined half-way, changed on the way, interlaced, deep, looped; and their ways."""

from __future__ import annotations

import itertools
import threading
from contextlib import AsyncExitStack, ExitStack
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamguard.errors import SourceEnded, SourceNotFound, SourceTimeout, SourceUnauthorized, UnsupportedMedia
from streamguard.media import (
    Backoff,
    DecodedFrame,
    Down,
    FrameReader,
    Retry,
    SourceItem,
    SourceOptions,
    SourceSupervisor,
    Up,
    open_source,
    picture_from_rgb,
    rgb_of,
)
from streamguard.media.address import parse_address
from streamguard.types import Frame
from tests.support.live_playlist import live_playlist
from tests.support.media_files import LEVELS, index_of, make_video, picture
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.rtsp_server import RtspServer
from tests.support.ts_feed import http_feed, udp_feed

QUICK = SourceOptions(open_timeout=20, read_timeout=5)
X265 = {"x265-params": "log-level=none"}


def first(url: str, count: int, options: SourceOptions = QUICK) -> list[DecodedFrame]:
    """The first frames of a live source."""
    with open_source(url, options) as source:
        assert source.live
        return list(itertools.islice(source, count))


def assert_in_order(frames: list[DecodedFrame]) -> None:
    begin = index_of(frames[0].picture.y)
    assert [index_of(one.picture.y) for one in frames] == [(begin + i) % LEVELS for i in range(len(frames))]
    assert all(a.time < b.time for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": "scenecut=0"}),
        ("libx264", {"x264-params": "scenecut=0:open-gop=1"}),
        ("libx264", {"x264-params": "intra-refresh=1"}),
        ("libx265", X265),
        ("mpeg2video", {}),
    ],
)
def test_joining_in_the_middle_of_a_group_shows_whole_pictures_only(
    tmp_path: Path, codec: str, options: dict[str, str]
) -> None:
    path = make_video(tmp_path / "a.ts", frames=60, gop=20, b_frames=2, codec=codec, options=options)
    data = path.read_bytes()
    path.write_bytes(data[188 * (len(data) // 188 // 8) :])
    with open_source(path) as source:
        frames = list(source)
    assert 30 <= len(frames) < 60
    wanted = range(60 - len(frames), 60)
    for frame, index in zip(frames, wanted, strict=True):
        error = np.abs(frame.picture.y.astype(int) - picture_from_rgb(picture(index)).y)
        # Grey or smeared pictures are off by dozens.
        assert error.mean() < 8


def test_another_size_on_the_way_is_no_new_epoch(tmp_path: Path) -> None:
    parts = [
        make_video(tmp_path / f"{size[0]}.ts", size=size, frames=25, b_frames=2).read_bytes()
        for size in ((64, 48), (96, 64))
    ]
    with udp_feed(parts, 1.0) as url, open_source(url, QUICK) as source:
        frames = list(itertools.islice(source, 60))
        assert source.decode_errors == 0
    assert {one.picture.width for one in frames} == {64, 96}
    # Either part begins anew with picture 0.
    indices = [index_of(one.picture.y) for one in frames]
    assert all(b in {(a + 1) % LEVELS, 0} for a, b in itertools.pairwise(indices))
    # The clock begins anew with each part, too.
    assert all(0.01 < b.time - a.time < 0.05 for a, b in itertools.pairwise(frames))


@pytest.mark.parametrize(("codec", "options"), [("mpeg2video", {}), ("libx265", X265)])
async def test_another_codec_on_the_way_is_opened_anew(tmp_path: Path, codec: str, options: dict[str, str]) -> None:
    before = make_video(tmp_path / "a.ts", frames=50).read_bytes()
    after = make_video(tmp_path / "b.ts", frames=50, codec=codec, options=options).read_bytes()
    seen: list[SourceItem] = []
    with udp_feed([before, *[after] * 20], 2.0) as url:
        async with SourceSupervisor("s", url, QUICK, retry=Retry(backoff=Backoff(0.01))) as items:
            async for item in items:
                seen.append(item)
                if isinstance(item, Frame) and item.epoch == 1:
                    break
    ups = [item.codec for item in seen if isinstance(item, Up)]
    assert ups == ["h264", {"libx265": "hevc"}.get(codec, codec)]
    down = next(item for item in seen if isinstance(item, Down))
    assert isinstance(down.error, SourceEnded)
    assert "no h264 any more" in str(down.error)


def test_a_file_whose_codec_changes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamguard.media.decoder._LOST_SECONDS", 0.0)
    # Enough for libav to have made up its mind.
    noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    before = make_video(
        tmp_path / "a.ts", size=(640, 480), pictures=[noise] * 25, gop=1, options={"qp": "1"}
    ).read_bytes()
    assert len(before) > 5_000_000
    after = make_video(tmp_path / "b.ts", frames=60, codec="mpeg2video", size=(640, 480)).read_bytes()
    (tmp_path / "ab.ts").write_bytes(before + after)
    with open_source(tmp_path / "ab.ts") as source, pytest.raises(UnsupportedMedia, match="codec changes"):
        list(source)


def test_pictures_that_go_on_under_another_number_are_missed_in_time(tmp_path: Path) -> None:
    parts = []
    for name, options in (("a.ts", {}), ("b.ts", {"mpegts_start_pid": "0x150"})):
        with (
            av.open(str(make_video(tmp_path / "x.ts", frames=50))) as source,
            av.open(str(tmp_path / name), "w", format="mpegts", options=options) as copy,
        ):
            stream = copy.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    copy.mux(packet)
        parts.append((tmp_path / name).read_bytes())
    # Packets keep coming, so libav's own limit of silence never passes.
    hasty = SourceOptions(open_timeout=20, read_timeout=2)
    with (
        udp_feed([parts[0], *[parts[1]] * 20], 2.0) as url,
        open_source(url, hasty) as live,
        pytest.raises(SourceTimeout),
    ):
        list(live)


@pytest.mark.parametrize("jump", [-100_000, 100_000])
def test_a_jump_of_the_clock_goes_unnoticed(tmp_path: Path, jump: int) -> None:
    base = 200_000
    pts = [base + i for i in range(20)] + [base + jump + i for i in range(20)]
    parts = [make_video(tmp_path / f"{i}.ts", pts=pts[i : i + 20], b_frames=2).read_bytes() for i in (0, 20)]
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    with open_source(tmp_path / "a.ts") as source:
        times = [frame.time for frame in source]
    assert times == pytest.approx([i / 25 for i in range(40)], abs=0.002)


def woven(index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Two fields of a bar that moves: even rows are half a frame older than odd ones."""
    rgb = np.full((96, 128, 3), 40, np.uint8)
    for field in (0, 1):
        left = 8 * index + 4 * field
        rgb[field::2, left : left + 24] = 220
    return rgb


def combing(luma: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    """How much each row differs from the mean of its neighbours: teeth at the edges of what moves."""
    rows = luma.astype(float)
    return float(np.abs(rows[1:-1] - (rows[:-2] + rows[2:]) / 2).mean())


def test_interlaced_pictures_are_made_whole_and_progressive_ones_left_alone(tmp_path: Path) -> None:
    def clip(name: str, x264: str) -> list[DecodedFrame]:
        path = make_video(
            tmp_path / name,
            size=(128, 96),
            pictures=[woven(i) for i in range(12)],
            options={"x264-params": x264, "qp": "4"},
            colorspace=1,
        )
        with open_source(path) as source:
            return list(source)

    whole, left = clip("i.ts", "interlaced=1:tff=1"), clip("p.ts", "interlaced=0")
    assert len(whole) == len(left) == 12
    assert [frame.time for frame in whole] == [frame.time for frame in left]
    assert {frame.picture.matrix for frame in whole} == {"bt709"}
    assert combing(left[6].picture.y) > 3
    assert combing(whole[6].picture.y) < 0.4 * combing(left[6].picture.y)
    # Still the picture of its own time.
    columns = np.flatnonzero(whole[6].picture.y.mean(axis=0) > 100)
    assert abs(columns.mean() - (8 * 6 + 12)) < 6


def test_interlaced_among_progressive_keeps_order_and_times(tmp_path: Path) -> None:
    parts = []
    for begin, x264 in ((0, "interlaced=0"), (10, "interlaced=1:tff=1"), (20, "interlaced=0")):
        pictures = [picture(i) for i in range(begin, begin + 10)]
        path = make_video(
            tmp_path / f"{begin}.ts",
            pictures=pictures,
            pts=list(range(begin, begin + 10)),
            options={"x264-params": x264},
        )
        parts.append(path.read_bytes())
    (tmp_path / "a.ts").write_bytes(b"".join(parts))
    with open_source(tmp_path / "a.ts") as source:
        frames = list(source)
    assert len(frames) == 30
    assert_in_order(frames)
    assert frames[-1].time == pytest.approx(29 / 25, abs=0.002)


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p10le", "yuv444p"])
@pytest.mark.parametrize("colorspace", [1, 9])
def test_deep_pictures_become_eight_bit_planes(tmp_path: Path, pix_fmt: str, colorspace: int) -> None:
    path = make_video(tmp_path / "a.mp4", frames=3, pix_fmt=pix_fmt, colorspace=colorspace, options={"qp": "4"})
    with open_source(path) as source:
        shown = next(iter(source)).picture
    assert (str(shown.y.dtype), shown.u.shape, shown.matrix) == ("uint8", (24, 32), "bt709")
    grey = rgb_of(shown)[20:44, 2:28]
    # Grey is grey by any matrix.
    np.testing.assert_allclose(grey, picture(0)[20:44, 2:28], atol=4)


def test_variable_rate_over_udp_is_kept(tmp_path: Path) -> None:
    steps = [0, 1, 5, 6, 13, 14, 15, 20, 24]
    path = make_video(tmp_path / "a.ts", pts=steps)
    with udp_feed([path.read_bytes()], 1.0) as url:
        frames = first(url, 5 + len(steps))
    found = [b.time - a.time for a, b in itertools.pairwise(frames)]
    wanted = [(b - a) / 25 for a, b in itertools.pairwise(steps)]
    indices = [index_of(one.picture.y) for one in frames]
    begin = indices.index(0)
    assert found[begin : begin + 8] == pytest.approx(wanted, abs=0.002)


@pytest.mark.parametrize("way", [udp_feed, http_feed])
def test_a_transport_stream_as_it_is_broadcast(tmp_path: Path, way: type) -> None:
    whole = make_video(tmp_path / "a.ts", frames=50, b_frames=2, audio=True).read_bytes()
    # Joined half-way, as everybody joins a broadcast.
    half = whole[len(whole) // 188 // 2 * 188 :]
    with way([half, whole, whole], 2.0) as url:
        frames = first(url, 40)
    assert_in_order(frames)


def test_a_broadcast_over_http_that_ends(tmp_path: Path) -> None:
    whole = make_video(tmp_path / "a.ts", frames=25).read_bytes()
    with http_feed([whole], 0.5, loop=False) as url, open_source(url, QUICK) as source, pytest.raises(SourceEnded):
        list(source)


def test_a_live_playlist_slides_and_its_encoder_begins_anew(tmp_path: Path) -> None:
    segments: list[tuple[bytes, float, bool]] = []
    for part, size in ((0, (64, 48)), (1, (96, 64))):
        for number in range(5):
            pts = list(range(25 * number, 25 * number + 25))
            path = make_video(tmp_path / "s.ts", pts=pts, size=size, gop=25)
            segments.append((path.read_bytes(), 1.0, part == 1 and number == 0))
    folder = tmp_path / "live"
    folder.mkdir()
    with live_playlist(folder, segments) as url:
        # From the first segment of the window at the start to the last one there is.
        frames = first(url, 9 * 25)
    assert {one.picture.width for one in frames} == {64, 96}
    assert [b.time - a.time for a, b in itertools.pairwise(frames)] == pytest.approx([0.04] * (9 * 25 - 1), abs=0.005)


def test_rtsp_digest(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", frames=50)
    with RtspServer(video, user="bob", password="s3cret:/@", digest=True) as server:
        assert_in_order(first(server.url, 20))
        with pytest.raises(SourceUnauthorized):
            open_source(server.url_for("bob", "wr0ng"), QUICK)


def test_rtmp_from_nginx(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.flv", frames=50, audio=True)
    stop = threading.Event()

    def publish(url: str) -> None:
        with av.open(str(video)) as source, av.open(url, "w", format="flv") as out:
            tracks = {s.index: out.add_stream_from_template(s) for s in source.streams}
            shift = Fraction(0)
            while not stop.is_set():
                for packet in source.demux():
                    if packet.dts is None or packet.time_base is None:
                        continue
                    if packet.stream.type == "video" and stop.wait(0.03):
                        return
                    ticks = round(shift / packet.time_base)
                    packet.pts, packet.dts = (packet.pts or 0) + ticks, packet.dts + ticks
                    packet.stream = tracks[packet.stream_index]
                    out.mux(packet)
                # The sound is a little longer than the pictures.
                shift += Fraction(21, 10)
                source.seek(0)

    with NginxRtmp() as server, ExitStack() as stack:
        thread = threading.Thread(target=publish, args=(server.url(),))
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)
        frames = first(server.url(), 60)
    assert_in_order(frames)


def test_a_looped_file_runs_on_as_one_stream(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=10, b_frames=2, audio=True)
    with open_source(f"loop:{path}") as source:
        assert (source.live, source.paced, source.duration) == (True, False, None)
        frames = list(itertools.islice(source, 45))
    assert [frame.index for frame in frames] == list(range(45))
    assert_in_order(frames)
    assert [frame.time for frame in frames] == pytest.approx([i / 25 for i in range(45)], abs=0.002)


async def test_a_looped_file_is_paced_and_stays_in_its_epoch(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=5)
    seen: list[Frame] = []
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(FrameReader("s", 0, f"loop:{path}"))
        async for frame in reader:
            seen.append(frame)
            if len(seen) == 25:
                break
    assert {frame.epoch for frame in seen} == {0}
    # No picture comes before its time; the first one is what the clock counts from.
    assert all(frame.arrived - seen[0].arrived >= frame.time - seen[0].time - 0.05 for frame in seen)
    assert seen[-1].time >= 0.9


def test_what_cannot_be_looped(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no such file"):
        open_source(f"loop:{tmp_path}/none.mp4")
    for url in ("loop:rtsp://host/live", "loop:http://host/a.mp4", "loop:loop:a.mp4"):
        with pytest.raises(SourceNotFound, match=r"only a file|no such file"):
            parse_address(url, SourceOptions())


def test_a_looped_file_that_goes_away(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=5)
    with open_source(f"loop:{path}") as source:
        frames = iter(source)
        next(frames)
        path.unlink()
        with pytest.raises(SourceNotFound):
            list(frames)

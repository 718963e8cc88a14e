"""Files: every good one is read whole, every bad one is called by its name."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from streamguard.errors import (
    CorruptMedia,
    EmptyMedia,
    NoVideo,
    SourceNotFound,
    SourceRefused,
    SourceUnauthorized,
    StreamguardError,
    UnsupportedMedia,
)
from streamguard.media import DecodedFrame, SourceOptions, open_source
from streamguard.media.address import parse_address
from streamguard.media.probe import check_size, cut_short
from tests.support.hosts import refused_port, web_server
from tests.support.media_files import LEVELS, index_of, make_video, replace_bytes, truncate


def read(url: str | Path, options: SourceOptions | None = None) -> list[DecodedFrame]:
    with open_source(url, options) as source:
        return list(source)


def read_until_damage(url: str | Path) -> tuple[list[DecodedFrame], StreamguardError | None]:
    frames = []
    with open_source(url) as source:
        try:
            for frame in source:
                frames.append(frame)  # noqa: PERF402 - an error must leave what came before it
        except StreamguardError as error:
            return frames, error
    return frames, None


def assert_complete(frames: list[DecodedFrame], count: int, rate: float = 25) -> None:
    assert [frame.index for frame in frames] == list(range(count))
    assert [frame.time for frame in frames] == pytest.approx([i / rate for i in range(count)], abs=1e-3)
    assert [index_of(frame.picture.y) for frame in frames] == [i % LEVELS for i in range(count)]


# AVI stores no presentation times, so B-frames come out of it at guessed ones.
@pytest.mark.parametrize(("suffix", "b_frames"), [*itertools.product(("mp4", "mkv", "ts", "flv"), (0, 2)), ("avi", 0)])
def test_files_are_read_losslessly_in_order(tmp_path: Path, suffix: str, b_frames: int) -> None:
    assert_complete(read(make_video(tmp_path / f"a.{suffix}", frames=40, b_frames=b_frames)), 40)


def test_a_file_tells_of_itself(tmp_path: Path) -> None:
    with open_source(make_video(tmp_path / "a.mp4", frames=50, size=(80, 60), audio=True)) as source:
        assert not source.live
        assert (source.width, source.height, source.codec) == (80, 60, "h264")
        assert source.average_rate == 25
        assert source.duration == pytest.approx(2, abs=0.1)
        assert source.frame_count == 50
        assert next(iter(source)).keyframe


def test_the_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    with open_source(make_video(tmp_path / "a.mp4", frames=2, rotation=90)) as source:
        next(iter(source))
        assert (source.width, source.height) == (48, 64)


def test_paths_with_a_colon_and_file_urls_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_video(tmp_path / "a b.mp4", frames=3)
    (tmp_path / "a b.mp4").rename(tmp_path / "http:x.mp4")
    (tmp_path / "a b.mp4").write_bytes((tmp_path / "http:x.mp4").read_bytes())
    monkeypatch.chdir(tmp_path)
    assert len(read("http:x.mp4")) == 3
    assert len(read((tmp_path / "a b.mp4").as_uri())) == 3


def test_variable_rate_is_kept(tmp_path: Path) -> None:
    pts = [0, 1, 5, 6, 30, 31]
    times = [frame.time for frame in read(make_video(tmp_path / "a.mp4", pts=pts))]
    assert times == pytest.approx([p / 25 for p in pts], abs=1e-3)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SourceNotFound, match="no such file") as caught:
        open_source(tmp_path / "no.mp4")
    assert caught.value.remedy
    with pytest.raises(SourceNotFound, match="folder"):
        open_source(tmp_path)
    with pytest.raises(SourceNotFound):
        open_source("nul\0byte.mp4")


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_video(tmp_path / "a.mp4", frames=1)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    # The tests may run as root, whom no mode bits hold back.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceUnauthorized, match="may not be read"):
        open_source(path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(EmptyMedia, match="empty"):
        open_source(tmp_path / "a.mp4")


def test_text_renamed_to_mp4(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("this is no video\n" * 100)
    with pytest.raises(CorruptMedia, match="no media file"):
        open_source(tmp_path / "a.mp4")


def test_mp4_without_its_index(tmp_path: Path) -> None:
    with pytest.raises(CorruptMedia):
        open_source(truncate(make_video(tmp_path / "a.mp4", frames=50), 0.5))


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_file_cut_in_the_middle_delivers_what_came_before_and_then_raises(tmp_path: Path, suffix: str) -> None:
    movflags = "+faststart" if suffix == "mp4" else ""
    path = truncate(make_video(tmp_path / f"a.{suffix}", frames=100, movflags=movflags), 0.6)
    frames, error = read_until_damage(path)
    assert 20 < len(frames) < 90
    assert [index_of(f.picture.y) for f in frames[:-2]] == [i % LEVELS for i in range(len(frames) - 2)]
    assert isinstance(error, CorruptMedia)
    assert "breaks off" in str(error)


def test_losing_the_last_bytes_is_no_damage(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=100, movflags="+faststart")
    frames, error = read_until_damage(truncate(path, 0.995))
    assert len(frames) >= 97
    assert error is None


def test_a_longer_sound_track_is_no_damage(tmp_path: Path) -> None:
    for name, frames in (("whole.mkv", 50), ("short.mkv", 25)):
        path = make_video(tmp_path / name, pts=list(range(frames)), frames=75, audio=True)
        assert len(read(path)) == frames


@pytest.mark.parametrize(
    ("promised", "read_", "duration", "reached", "expected"),
    [
        (100, 100, 4.0, 4.0, False),
        (100, 97, 4.0, 3.88, False),
        (100, 60, 4.0, 2.4, True),
        (100, 60, 4.0, 4.0, False),
        (0, 60, 4.0, 2.4, True),
        (0, 60, None, 2.4, False),
        (100, 60, None, 2.4, True),
    ],
)
def test_when_a_file_counts_as_cut_short(
    promised: int, read_: int, duration: float | None, reached: float, expected: bool
) -> None:
    assert cut_short(promised, read_, duration, reached, 25) is expected


def test_sound_only(tmp_path: Path) -> None:
    with pytest.raises(NoVideo):
        open_source(make_video(tmp_path / "a.mp4", audio_only=True))


def test_unknown_codec(tmp_path: Path) -> None:
    path = replace_bytes(make_video(tmp_path / "a.mp4", frames=5), b"avc1", b"zzz9")
    path = replace_bytes(path, b"avcC", b"zzzC")
    with pytest.raises(UnsupportedMedia, match="codec"):
        open_source(path)


def test_pictures_too_large(tmp_path: Path) -> None:
    wide = make_video(tmp_path / "wide.mp4", frames=1, size=(8208, 16))
    with pytest.raises(UnsupportedMedia, match="8208x16"):
        open_source(wide)
    path = make_video(tmp_path / "a.mp4", frames=1)
    with pytest.raises(UnsupportedMedia, match="too large"):
        open_source(path, SourceOptions(max_pixels=64 * 47))
    assert len(read(path, SourceOptions(max_pixels=64 * 48))) == 1
    with pytest.raises(UnsupportedMedia, match="no size"):
        check_size("x", 0, 0, 100)


def test_a_stream_that_grows_too_large_on_the_way_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.ts", frames=5)
    path.write_bytes(path.read_bytes() + make_video(tmp_path / "b.ts", frames=5, size=(128, 96)).read_bytes())
    assert {frame.picture.width for frame in read(path)} == {64, 128}
    with pytest.raises(UnsupportedMedia, match="too large"):
        read(path, SourceOptions(max_pixels=64 * 48))


def test_damage_in_the_middle_is_skipped_and_counted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", frames=100, gop=5, codec="mpeg4", size=(160, 120))
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(5).integers(0, 256, 400, np.uint8).tobytes()
    middle = len(data) // 2
    data[middle : middle + len(noise)] = noise
    path.write_bytes(bytes(data))
    with open_source(path) as source:
        frames = list(source)
        assert len(frames) > 70
        assert source.decode_errors > 0
    assert all(a.time < b.time for a, b in itertools.pairwise(frames))


def test_nothing_decodable(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=20, movflags="+faststart")
    data = bytearray(path.read_bytes())
    begin = data.index(b"mdat") + 4
    data[begin:] = bytes(len(data) - begin)
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptMedia, match="not one picture"):
        read(path)


def test_an_unknown_protocol_and_a_url_without_a_host() -> None:
    with pytest.raises(UnsupportedMedia, match="gopher"):
        open_source("gopher://host/x")
    with pytest.raises(SourceNotFound, match="no host"):
        open_source("rtsp:///x")
    with pytest.raises(UnsupportedMedia, match="protocol"):
        open_source("srt://127.0.0.1:9000")


def test_a_missing_camera(tmp_path: Path) -> None:
    for name in ("camera:97", "/dev/video97"):
        with pytest.raises(SourceNotFound, match="/dev/video97"):
            open_source(name)


def test_a_camera_is_asked_for_its_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda _: True)
    options = SourceOptions(framerate=30, video_size=(1280, 720), camera_format="mjpeg")
    address = parse_address("camera:0", options)
    assert (address.name, address.format, address.kind) == ("/dev/video0", "v4l2", "camera")
    assert address.options == {"framerate": "30", "video_size": "1280x720", "input_format": "mjpeg"}


def test_files_over_http(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", frames=30)
    (tmp_path / "page.mp4").write_text("<html>not a video</html>")
    with web_server(tmp_path) as base:
        with open_source(f"{base}/a.mp4") as source:
            assert not source.live
            assert_complete(list(source), 30)
        with pytest.raises(SourceNotFound, match="no such path"):
            open_source(f"{base}/b.mp4")
        with pytest.raises(CorruptMedia, match="no media"):
            open_source(f"{base}/page.mp4")
    with pytest.raises(SourceRefused):
        open_source(f"http://bob:s3cret@127.0.0.1:{refused_port()}/a.mp4")


def test_a_finished_hls_playlist_is_a_file_and_an_open_one_is_live(tmp_path: Path) -> None:
    make_video(tmp_path / "a.m3u8", frames=75, format="hls", gop=25)
    with web_server(tmp_path) as base, open_source(f"{base}/a.m3u8") as source:
        assert not source.live
        assert len(list(source)) == 75
    playlist = (tmp_path / "a.m3u8").read_text()
    (tmp_path / "live.m3u8").write_text(playlist.replace("#EXT-X-ENDLIST\n", ""))
    with web_server(tmp_path) as base, open_source(f"{base}/live.m3u8") as source:
        assert source.live
        assert source.duration is None
        assert source.frame_count is None


def test_a_local_playlist_does_not_reach_the_network(tmp_path: Path) -> None:
    make_video(tmp_path / "seg.ts", frames=10)
    with web_server(tmp_path) as base:
        playlist = tmp_path / "a.m3u8"
        playlist.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:0.4,\n{base}/seg.ts\n#EXT-X-ENDLIST\n")
        with pytest.raises(StreamguardError):
            read(playlist)


def test_libav_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    read_until_damage(truncate(make_video(tmp_path / "a.mkv", frames=50), 0.6))
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")

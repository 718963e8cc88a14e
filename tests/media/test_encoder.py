"""An MP4 file exists whole or not at all."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from streamguard.errors import OutputError
from streamguard.media import Mp4Writer, open_source, picture_from_rgb, rgb_of
from streamguard.types import Picture
from tests.support.media_files import LEVELS, index_of, picture


def pictures(count: int, size: tuple[int, int] = (64, 48)) -> list[Picture]:
    return [picture_from_rgb(picture(i, *size)) for i in range(count)]


def write(path: Path, count: int = 20, size: tuple[int, int] = (64, 48)) -> Path:
    with Mp4Writer(path, *size, 25) as writer:
        for i, image in enumerate(pictures(count, size)):
            writer.write(image, i / 25)
        assert writer.written == count
    return path


def test_what_is_written_is_read_back_at_the_same_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.51, 3.0]
    with Mp4Writer(tmp_path / "a.mp4", 64, 48, 25) as writer:
        for image, time in zip(pictures(6), times, strict=True):
            writer.write(image, time)
    with open_source(tmp_path / "a.mp4") as source:
        frames = list(source)
    assert [frame.time for frame in frames] == pytest.approx(times, abs=1e-4)
    assert [index_of(frame.picture.y) for frame in frames] == list(range(6))


def test_the_file_has_no_b_frames_and_starts_with_its_index(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 60)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert all(packet.pts == packet.dts for packet in container.demux(stream) if packet.size)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_colour_tags_are_kept(tmp_path: Path, matrix: str, full_range: bool) -> None:
    assert matrix in ("bt601", "bt709")
    image = picture_from_rgb(picture(3), matrix=matrix, full_range=full_range)  # type: ignore[arg-type]  # parametrized strings
    with Mp4Writer(tmp_path / "a.mp4", 64, 48, 25, crf=4) as writer:
        writer.write(image, 0)
    with open_source(tmp_path / "a.mp4") as source:
        back = next(iter(source)).picture
    assert (back.matrix, back.full_range) == (matrix, full_range)
    np.testing.assert_allclose(rgb_of(back)[30:46, 2:28], picture(3)[30:46, 2:28], atol=4)


def test_odd_sizes_are_filled_up(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", 3, (63, 47))
    with open_source(tmp_path / "a.mp4") as source:
        back = next(iter(source)).picture
    assert (back.width, back.height) == (64, 48)
    assert abs(int(back.y[46, 10]) - int(back.y[47, 10])) < 8


def test_other_sizes_matrices_and_ranges_are_converted_to_the_first(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "a.mp4", 64, 48, 25, crf=4) as writer:
        writer.write(picture_from_rgb(picture(0)), 0)
        writer.write(picture_from_rgb(picture(0, 128, 96), matrix="bt709", full_range=True), 0.04)
        writer.write(picture_from_rgb(picture(0, 31, 23)), 0.08)
    with open_source(tmp_path / "a.mp4") as source:
        frames = [frame.picture for frame in source]
    assert {(f.width, f.height, f.matrix, f.full_range) for f in frames} == {(64, 48, "bt601", False)}
    for frame in frames:
        np.testing.assert_allclose(rgb_of(frame)[16:44, 4:26], picture(0)[16:44, 4:26], atol=10)


def test_a_clip_from_the_middle_begins_at_once(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "a.mp4", 64, 48, 25) as writer:
        for i, image in enumerate(pictures(5)):
            writer.write(image, 3600 + i / 25)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.start_time == 0
        assert container.duration == pytest.approx(0.2 * av.time_base, rel=0.05)


def test_times_that_do_not_rise_are_moved(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "a.mp4", 64, 48, 25) as writer:
        for image, time in zip(pictures(4), (0, 0.04, 0.04, 0.02), strict=True):
            writer.write(image, time)
    with open_source(tmp_path / "a.mp4") as source:
        assert len(list(source)) == 4


def test_mpeg4_is_written_too(tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "a.mp4", 64, 48, 30, codec="mpeg4", crf=3) as writer:
        for i, image in enumerate(pictures(12)):
            writer.write(image, i / 30)
    with open_source(tmp_path / "a.mp4") as source:
        assert source.codec == "mpeg4"
        assert [index_of(frame.picture.y) for frame in source] == [i % LEVELS for i in range(12)]


def test_an_exception_leaves_nothing_and_the_old_file_untouched(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with contextlib.suppress(ZeroDivisionError), Mp4Writer(path, 64, 48, 25) as writer:
        writer.write(pictures(1)[0], 0)
        assert (tmp_path / "a.mp4.partial").exists()
        _ = 1 / 0
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_writer_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    script = """
import os, signal, sys, numpy as np
from streamguard.media import Mp4Writer, picture_from_rgb
writer = Mp4Writer(sys.argv[1], 64, 48, 25)
for i in range(100):
    writer.write(picture_from_rgb(np.full((48, 64, 3), i, np.uint8)), i / 25)
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "a.mp4"
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4.partial"]
    write(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.mp4"]


def test_a_full_disk_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    script = """
import resource, sys, numpy as np
from streamguard.errors import OutputError
from streamguard.media import Mp4Writer, picture_from_rgb
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
noise = np.random.default_rng(0)
try:
    with Mp4Writer(sys.argv[1], 64, 48, 25) as writer:
        for i in range(200):
            writer.write(picture_from_rgb(noise.integers(0, 256, (48, 64, 3), np.uint8)), i / 25)
except OutputError as error:
    print(error)
"""
    path = tmp_path / "a.mp4"
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True, timeout=60
    )
    assert "grown past the size" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_no_folder_no_file_and_no_codec(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="folder does not exist"):
        Mp4Writer(tmp_path / "no" / "a.mp4", 64, 48, 25)
    with pytest.raises(OutputError, match="this is a folder"):
        Mp4Writer(tmp_path, 64, 48, 25)
    for codec in ("nonsense", "aac"):
        with pytest.raises(OutputError):
            Mp4Writer(tmp_path / "a.mp4", 64, 48, 25, codec=codec)
    with pytest.raises(OutputError, match="0x48"):
        Mp4Writer(tmp_path / "a.mp4", 0, 48, 25)
    assert list(tmp_path.iterdir()) == []


def test_a_writer_without_pictures_or_closed_refuses(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no picture"), Mp4Writer(tmp_path / "a.mp4", 64, 48, 25):
        pass
    assert list(tmp_path.iterdir()) == []
    writer = Mp4Writer(tmp_path / "a.mp4", 64, 48, 25)
    writer.write(pictures(1)[0], 0)
    writer.close()
    writer.close()
    with pytest.raises(OutputError, match="closed"):
        writer.write(pictures(1)[0], 1)

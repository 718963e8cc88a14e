"""Outputs on the disk: it fills up, folders are not there yet, and what lies there from before."""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from streamguard.errors import OutputError
from streamguard.media import Backoff, open_source
from streamguard.media.output import Push, PushStatus, clash, missing_folder, parse_target
from tests.media.test_push import Feed, feed, writers

SHORT = Backoff(0.01)


def noise() -> Feed:
    """Pictures that take room."""
    random = np.random.default_rng(1)
    return Feed(lambda _: random.integers(0, 256, (240, 320, 3), np.uint8))


def listed(playlist: Path) -> list[str]:
    return re.findall(r"^(.+\.ts)$", playlist.read_text(), flags=re.MULTILINE)


def no_room(folder: Path) -> None:
    (folder / "live-000002.ts.tmp").symlink_to("/dev/full")


def no_room_after_a_while(_: Path) -> None:
    (child,) = writers()
    resource.prlimit(child, resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))


@pytest.mark.parametrize(("broken", "cause"), [(no_room, "no space left"), (no_room_after_a_while, "past the size")])
async def test_a_segment_that_cannot_be_written(tmp_path: Path, broken: Callable[[Path], None], cause: str) -> None:
    told: list[PushStatus] = []
    source, playlist = noise(), tmp_path / "live.m3u8"
    async with Push(parse_target(str(tmp_path)), backoff=SHORT, on_change=told.append) as push:
        await feed(push, source, lambda: push.status.up)
        broken(tmp_path)
        await feed(push, source, lambda: push.status.failures > 0)
        assert not push.status.up
        assert cause in push.status.detail
        # It is back by itself.
        await feed(push, source, lambda: push.status.up)
        before = push.status.sent
        await feed(push, source, lambda: push.status.sent > before + 150)
    assert [status.up for status in told] == [True, False, True]
    names = listed(playlist)
    assert len(names) >= 3
    # The last one was ended before its time.
    for name in names[:-1]:
        with open_source(tmp_path / name) as whole:
            assert len(list(whole)) == 50
    assert sorted(names) == names
    assert sorted(os.listdir(tmp_path)) == [*names, "live.m3u8"]


def test_nothing_is_up_where_there_is_no_room(tmp_path: Path) -> None:
    code = (
        "import resource; from streamguard.media.output.pusher import check_room; check_room('.'); print('room');"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)); check_room('.')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "room\n"
    assert "OSError: [Errno 27]" in done.stderr
    assert os.listdir(tmp_path) == []


async def test_a_recording_is_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "out.ts"
    kept = b""
    # The second begins behind half a packet of a crash.
    for cut in (0, 100):
        async with Push(parse_target(str(out)), backoff=SHORT) as push:
            await feed(push, Feed(), lambda: push.status.sent > 60)
        assert push.status.failures == 0
        assert out.read_bytes().startswith(kept)
        kept = out.read_bytes()
        with out.open("ab") as file:
            file.write(bytes(cut))
    assert len(kept) % 188 == 0
    with open_source(out) as source:
        assert len(list(source)) > 110


async def test_a_file_of_another_kind_is_left_alone(tmp_path: Path) -> None:
    script = tmp_path / "index.ts"
    script.write_text("export {}")
    async with Push(parse_target(str(script)), backoff=SHORT) as push:
        await feed(push, Feed(), lambda: push.status.failures > 0)
        assert "it holds something else already" in push.status.detail
    assert script.read_text() == "export {}"


async def test_segments_of_earlier_runs_go_and_nothing_else(tmp_path: Path) -> None:
    others = ["live-7.ts", "live-000001.ts.bak", "live-x000001.ts", "other-000001.ts", "live-000001.mp4", "notes.ts"]
    for name in others:
        (tmp_path / name).write_text("kept")
    old = [f"live-{number:06}.ts" for number in (*range(20), 1000000)]
    for name in (*old, "live-000019.ts.tmp", "live.m3u8.tmp"):
        (tmp_path / name).write_text("old")
    head = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:12\n"
    playlist = tmp_path / "live.m3u8"
    playlist.write_text(head + "".join(f"#EXTINF:2.0,\n{name}\n" for name in old[12:18]))
    source = Feed()

    def lying() -> set[str]:
        return {name for name in os.listdir(tmp_path) if name not in others}

    async with Push(parse_target(str(playlist)), backoff=SHORT) as push:
        await feed(push, source, lambda: push.status.up)
        # Those that have just left the playlist may be asked for.
        assert lying() <= {*old[6:18], "live.m3u8", "live-000018.ts.tmp"}
        assert lying() >= {*old[6:18], "live.m3u8"}
        await feed(push, source, lambda: push.status.sent > 200)
    names = listed(playlist)
    assert len(names) == 6
    first = int(names[0][5:11])
    assert lying() == {*names, "live.m3u8", *(f"live-{number:06}.ts" for number in range(first - 6, first))}
    assert all((tmp_path / name).read_text() == "kept" for name in others)


@pytest.mark.parametrize("name", ["share/hls", "share/live.m3u8", "share/10.20.0.5", "share/cam.v1/", "share/a.ts"])
async def test_a_folder_that_is_not_there_yet(tmp_path: Path, name: str) -> None:
    source, target = Feed(), parse_target(str(tmp_path / name) + "/" * name.endswith("/"))
    folder = missing_folder(target)
    assert folder is not None
    async with Push(target, backoff=SHORT) as push:
        await feed(push, source, lambda: push.status.failures > 0)
        assert "its folder does not exist" in push.status.detail
        folder.mkdir(parents=True)
        await feed(push, source, lambda: push.status.up)
    assert missing_folder(target) is None


@pytest.mark.parametrize("text", ["", " ", "out.mkv", "x" * 300 + ".ts", "file", "nul\0.ts"])
def test_what_is_no_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(OutputError) as error:
        parse_target(text)
    assert not str(error.value).startswith(":")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("hls", "hls/", True),
        ("hls", "hls/live.m3u8", True),
        ("hls", "link/live.m3u8", True),
        ("hls/a%.m3u8", "hls/a_.m3u8", True),
        ("hls/a.m3u8", "hls/b.m3u8", False),
        ("hls", "hls/live-000007.ts", True),
        ("hls", "hls/live-x.ts", False),
        ("a.ts", "./a.ts", True),
        ("a.ts", "hls/a.ts", False),
        ("new/a.ts", "hls/../new/a.ts", True),
        ("rtsp://me:one@Host/x", "rtsp://host:554/x/", True),
        ("rtsp://host/x", "rtsp://host/y", False),
        ("rtmp://host/live/one", "rtmp://host/live/two", False),
        ("rtmp://host/live/one", "rtmp://host:1935/live/one", True),
        ("udp://239.0.0.1:5004?ttl=2", "udp://239.0.0.1:5004", True),
        ("udp://239.0.0.1:5004", "udp://239.0.0.1:5006", False),
        ("udp://239.0.0.1:5004", "a.ts", False),
    ],
)
def test_who_writes_over_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: str, other: str, same: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hls").mkdir()
    Path("link").symlink_to("hls")
    targets = [parse_target("udp://127.0.0.1:1"), parse_target(one), parse_target(other)]
    assert clash(targets) == ((1, 2) if same else None)
    assert clash([targets[0], *targets[:0:-1]]) == ((1, 2) if same else None)

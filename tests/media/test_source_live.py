"""Live sources against a real RTSP server, and against hosts that do not play along."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from typing import Literal

import pytest

from streamguard.errors import (
    SourceEnded,
    SourceNotFound,
    SourceRefused,
    SourceTimeout,
    SourceUnauthorized,
)
from streamguard.media import DecodedFrame, SourceOptions, VideoSource, open_source
from streamguard.media.interrupt import Interrupt
from tests.support.hosts import refused_port, silent_host
from tests.support.media_files import LEVELS, index_of, make_video
from tests.support.rtsp_server import RtspServer

FAST = SourceOptions(open_timeout=5, read_timeout=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("live") / "a.mp4", frames=50)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_rtsp_delivers_pictures_in_order(video: Path, transport: Literal["tcp", "udp"]) -> None:
    options = SourceOptions(transport=transport)
    with RtspServer(video, transport=transport) as server, open_source(server.url, options) as source:
        assert source.live
        assert (source.width, source.height, source.codec, source.duration) == (64, 48, "h264", None)
        frames: list[DecodedFrame] = []
        for frame in source:
            frames.append(frame)
            if len(frames) == 60:
                break
        first = index_of(frames[0].picture.y)
        assert [index_of(f.picture.y) for f in frames] == [(first + i) % LEVELS for i in range(60)]
        assert [f.time for f in frames] == pytest.approx([i / 25 for i in range(60)], abs=0.01)
        assert source.decode_errors == 0


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_opening_does_not_wait_for_a_measured_frame_rate(video: Path, transport: Literal["tcp", "udp"]) -> None:
    # libav's own way takes more than twenty frames, which do not come before the server is told to go on.
    opened = threading.Event()
    options = SourceOptions(transport=transport, open_timeout=60)

    def work() -> None:
        with open_source(server.url, options) as source:
            assert source.average_rate == 25
            assert next(iter(source)).index == 0
            opened.set()

    with RtspServer(video, hold_after=15) as server:
        thread = threading.Thread(target=work)
        thread.start()
        in_time = opened.wait(20)
        server.resume()
        thread.join()
    assert in_time


@pytest.mark.parametrize("offered", ["tcp", "udp"])
def test_the_transport_asked_for_is_the_one_used(video: Path, offered: Literal["tcp", "udp"]) -> None:
    other: Literal["tcp", "udp"] = "udp" if offered == "tcp" else "tcp"
    with RtspServer(video, transport=offered) as server, pytest.raises(SourceRefused):
        open_source(server.url, SourceOptions(transport=other))


def test_rtsp_password(video: Path) -> None:
    password = "s3cret/with:marks@"
    with RtspServer(video, user="bob", password=password) as server:
        with open_source(server.url) as source:
            assert next(iter(source)).index == 0
        for url in (server.url_for("bob", "wr0ng"), server.url_for(None, None)):
            with pytest.raises(SourceUnauthorized) as caught:
                open_source(url)
            assert caught.value.__context__ is None
            for secret in ("wr0ng", password):
                assert secret not in f"{caught.value} {caught.value!r} {caught.value.args}"


def test_rtsp_path_unknown(video: Path) -> None:
    with RtspServer(video) as server, pytest.raises(SourceNotFound, match="no such path"):
        open_source(server.url_for(None, None, "/elsewhere"))


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http", "tcp"])
def test_refused(scheme: str) -> None:
    with pytest.raises(SourceRefused, match="connection refused") as caught:
        open_source(f"{scheme}://bob:s3cret@127.0.0.1:{refused_port()}/a/b")
    assert caught.value.retryable
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp", "http", "tcp"])
def test_a_host_that_never_answers(scheme: str) -> None:
    with silent_host() as port, pytest.raises(SourceTimeout) as caught:
        open_source(f"{scheme}://127.0.0.1:{port}/a/b", SourceOptions(open_timeout=0.5))
    assert caught.value.retryable


def test_an_unknown_host_name() -> None:
    with pytest.raises(SourceNotFound, match="host name"):
        open_source("rtsp://nowhere.invalid/live")


def test_a_frozen_source_times_out(video: Path) -> None:
    with RtspServer(video) as server, open_source(server.url, FAST) as source:
        frames = iter(source)
        next(frames)
        server.freeze()
        began = time.monotonic()
        with pytest.raises(SourceTimeout):
            list(frames)
        assert time.monotonic() - began < 3


def test_a_stream_that_ends(video: Path) -> None:
    with RtspServer(video, loop=False) as server, open_source(server.url, FAST) as source:
        frames: deque[DecodedFrame] = deque()
        with pytest.raises(SourceEnded):
            frames.extend(source)
        assert len(frames) >= 45


def test_a_server_that_dies(video: Path) -> None:
    with RtspServer(video) as server, open_source(server.url, FAST) as source:
        frames = iter(source)
        next(frames)
        server.kill()
        with pytest.raises(SourceEnded) as caught:
            list(frames)
        assert caught.value.retryable


def test_closing_from_another_thread_unblocks_a_read(video: Path) -> None:
    with RtspServer(video) as server:
        source = open_source(server.url, SourceOptions(read_timeout=60))
        frozen, errors = threading.Event(), list[BaseException]()

        def read() -> None:
            try:
                for _ in source:
                    if not frozen.is_set():
                        server.freeze()
                        frozen.set()
            except BaseException as error:
                errors.append(error)

        thread = threading.Thread(target=read)
        thread.start()
        frozen.wait()
        _assert_quick(source, thread)
        assert errors == []


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp", "udp"])
def test_an_interrupt_unblocks_opening(scheme: str) -> None:
    with silent_host() as port:
        interrupt, began = Interrupt(), threading.Event()

        def work() -> None:
            began.set()
            with pytest.raises(SourceTimeout):
                open_source(f"{scheme}://127.0.0.1:{port}/x", SourceOptions(open_timeout=60), interrupt=interrupt)

        thread = threading.Thread(target=work)
        thread.start()
        began.wait()
        before = time.monotonic()
        interrupt.set()
        thread.join(10)
        assert time.monotonic() - before < 2


def test_a_closed_source_yields_nothing_more(video: Path) -> None:
    source = open_source(video)
    frames = iter(source)
    assert next(frames).index == 0
    source.close()
    source.close()
    assert list(frames) == []


def _assert_quick(source: VideoSource, thread: threading.Thread) -> None:
    before = time.monotonic()
    source.close()
    thread.join(10)
    assert time.monotonic() - before < 2
    assert not thread.is_alive()

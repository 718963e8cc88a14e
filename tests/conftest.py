"""What every test is held to: it leaves no task, thread, child process or open file behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import io
import os
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from streamguard import models
from streamguard.models import networks
from tests.support.portraits import green_detector, portrait_clip
from tests.support.warm import end_warm_parent, warm_parent

PATIENCE = 3.0
"""Seconds that what is just ending has to be gone."""
LIBRARY_THREADS = {"tqdm_monitor"}
"""Threads that a library starts once for the life of the process."""

# A time limit per example fails on a busy machine, not on a wrong result.
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")

# A shell starts what runs in its background with Ctrl-C ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name in the last lines what passes only when `make test` asks once more."""
    if os.environ.get("ASKED_AGAIN"):
        for report in terminalreporter.getreports("passed"):
            terminalreporter.write_line(f"UNSTEADY {report.nodeid}", yellow=True)


def pytest_sessionfinish() -> None:
    """End what lives as long as the session."""
    end_warm_parent()


@pytest.fixture(scope="session", autouse=True)
def _libraries_warmed_up() -> None:
    """What libraries open once and keep for the process's life is opened before anything is counted."""
    import cv2
    import numpy as np
    import torch
    from matplotlib.figure import Figure

    from streamguard.openvino_runtime import core

    torch.nn.functional.conv2d(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 3, 3))
    cv2.resize(np.zeros((8, 8), np.uint8), (4, 4))
    assert core().available_devices
    figure = Figure()
    figure.subplots().set_title("x")
    figure.savefig(io.BytesIO(), format="png")


@pytest.fixture(autouse=True)
def leaves_nothing(_libraries_warmed_up: None) -> Iterator[None]:
    """No thread, child process or file descriptor outlives the test."""
    threads, children, files = set(threading.enumerate()), _children(), _open_files()
    yield
    _soon(lambda: sorted({t.name for t in threading.enumerate() if t not in threads} - LIBRARY_THREADS), "threads")
    _soon(lambda: sorted(_children() - children - warm_parent()), "processes")
    _soon(lambda: sorted(set(_open_files().items()) - set(files.items())), "open files")


@pytest.fixture(autouse=True)
async def leaves_no_task(leaves_nothing: None) -> AsyncIterator[None]:
    """No task outlives an async test; those that are ending get the loop for a moment."""
    before = asyncio.all_tasks()
    yield
    mine = asyncio.current_task()
    limit = time.monotonic() + PATIENCE
    while left := [task for task in asyncio.all_tasks() - before if task is not mine]:
        assert time.monotonic() < limit, f"tasks left behind: {[task.get_name() for task in left]}"
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def state_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test meets the alerts of another one, or of the person who runs it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a detector that calls green pixels fake, exactly."""
    folder = tmp_path_factory.mktemp("detector") / "green"
    networks.save(green_detector(), folder)
    return folder


@pytest.fixture(scope="session")
def unsure_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a detector that is unsure of green pixels and calls nothing fake."""
    folder, model = tmp_path_factory.mktemp("detector") / "unsure", green_detector("unsure")
    spec = replace(model.spec, threshold=1.0, unsure_threshold=0.5)
    networks.save(models.LoadedModel(spec, model.network), folder)
    return folder


@pytest.fixture(scope="session")
def half_fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds of a portrait whose face is green from the third on."""
    return portrait_clip(tmp_path_factory.mktemp("clips") / "half.mp4", 6.0, (3.0, 6.0))


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a real portrait."""
    return portrait_clip(tmp_path_factory.mktemp("clips") / "real.mp4", 2.0)


def _soon(left: Callable[[], list[object]] | Callable[[], list[str]], what: str) -> None:
    limit, pause = time.monotonic() + PATIENCE, threading.Event()
    while found := left():
        assert time.monotonic() < limit, f"{what} left behind: {found}"
        # What an error's traceback held in a circle waits for the collector, and is no leak.
        gc.collect()
        pause.wait(0.01)


def _children() -> set[str]:
    children: set[str] = set()
    for task in Path("/proc/self/task").iterdir():
        # A thread may end between the listing and the reading; its children go to another one.
        with contextlib.suppress(OSError):
            children.update((task / "children").read_text().split())
    return children


def _open_files() -> dict[int, str]:
    files = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(entry)
        except OSError:
            continue  # the listing's own descriptor
        # matplotlib keeps the fonts it has used open.
        if not target.endswith(".ttf"):
            files[int(entry.name)] = target
    return files

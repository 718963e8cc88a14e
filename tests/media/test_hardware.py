"""Decoding on a device: here there is none, and everything is decoded all the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import av
import numpy as np
import pytest
from av.codec.hwaccel import HWAccel, hwdevices_available

from streamguard.cli.watch import SourceSettings
from streamguard.config.streams import StreamSettings
from streamguard.media import SourceOptions, open_source
from streamguard.media.hardware import Hardware, _tell, accelerator, usable
from tests.support.training_data import streamguard


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What was found before does not count."""
    usable.cache_clear()
    _tell.cache_clear()
    yield
    usable.cache_clear()


@pytest.mark.parametrize("wanted", get_args(Hardware))
def test_every_device_falls_back_to_software(wanted: Hardware, real: Path, caplog: pytest.LogCaptureFixture) -> None:
    if wanted != "off" and accelerator(wanted) is not None:
        pytest.skip("this machine has such a device")
    caplog.set_level(logging.INFO, "streamguard.media.hardware")
    caplog.clear()
    _tell.cache_clear()
    counts = []
    for hwaccel in ("off", wanted):
        with open_source(real, SourceOptions(hwaccel=hwaccel)) as source:
            assert not source.hardware
            counts.append([frame.picture.y.copy() for frame in source])
    assert len(counts[0]) == 40
    assert all(np.array_equal(a, b) for a, b in zip(*counts, strict=True))
    told = [record.getMessage() for record in caplog.records if record.name == "streamguard.media.hardware"]
    # Once, however often it is opened.
    assert len(told) == (wanted != "off")


def test_a_device_that_libav_knows_and_that_is_not_here_is_not_usable() -> None:
    for device in hwdevices_available():
        if not usable(device):
            with pytest.raises((av.FFmpegError, OSError, NotImplementedError, AssertionError)):
                assert av.CodecContext.create("h264", "r", hwaccel=HWAccel(device)).is_hwaccel
    assert not usable("toaster")


def test_auto_takes_the_best_device_that_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamguard.media.hardware.usable", lambda device: device in {"qsv", "vdpau"})
    found = accelerator("auto")
    assert found is not None
    assert found.allow_software_fallback
    assert accelerator("cuda") is None
    assert accelerator("off") is None


def test_the_file_and_the_command_line_take_the_same_names() -> None:
    annotation = StreamSettings.model_fields["hwaccel"].annotation
    assert get_args(annotation) == get_args(Hardware)
    assert get_args(get_type_hints(SourceSettings)["hwaccel"]) == get_args(Hardware)


def test_watch_falls_back_too(real: Path) -> None:
    done = streamguard("watch", real, "--hwaccel", "auto", "--jsonl", "--engine", "torch")
    assert done.returncode == 0, done.stderr
    assert '"kind": "stream.up"' in done.stdout
    assert streamguard("watch", real, "--hwaccel", "toaster").returncode == 2

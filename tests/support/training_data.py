"""A data root small enough for a test: two side-by-side clips, a real one, a few portraits; and packs without them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamguard.training.config import TrainConfig, read_config
from streamguard.training.pack import PACK_SIZE, Triple, write_pack
from tests.support.media_files import make_video
from tests.support.portraits import RATE, painted_green, portrait, portrait_pictures

ROOT = Path(__file__).parents[2]
CONFIG = """
name = "micro"
network = "unet_v1"
[data]
pairs = "pairs"
real_videos = ["videos"]
faces = ["faces"]
validation_persons = ["Bob_Ray"]
validation_every = 2
[prepare]
pair_stride = 4
pair_variants = 2
video_stride = 6
blends_per_face = 1
blends_per_half = 1
[train]
warmup_steps = 1
validate_every = 2
stages = [{ steps = 2, patch = 64, pairs = 1 }, { steps = 1, patch = 96, pairs = 1 }]
"""


def pair_clip(path: Path, seconds: float = 0.6, width: int = 640) -> Path:
    """A side-by-side clip, the right half's face green; `width` other than 640 cuts columns off the right."""
    pictures = (
        np.concatenate([real, fake], axis=1)[:, :width]
        for real, fake in zip(portrait_pictures(seconds), portrait_pictures(seconds, (0, seconds)), strict=True)
    )
    return make_video(path, size=(width, 240), rate=RATE, pictures=(np.ascontiguousarray(each) for each in pictures))


def faceless_pair(path: Path) -> Path:
    """A side-by-side clip without a face, of another size than the others."""
    return make_video(path, frames=8, size=(160, 96), rate=RATE)


def data_root(folder: Path) -> Path:
    """Ann_Lee's and Bob_Ray's pairs, one real video, three portraits, and what cannot be used."""
    for name in ("pairs", "videos", "faces"):
        (folder / name).mkdir(parents=True)
    pair_clip(folder / "pairs" / "Ann_Lee_0.mp4")
    pair_clip(folder / "pairs" / "Bob_Ray_0.mp4", 0.4)
    faceless_pair(folder / "pairs" / "No_Body_0.mp4")
    make_video(folder / "videos" / "walk.mp4", size=(320, 240), rate=RATE, pictures=portrait_pictures(0.5))
    for index in range(3):
        cv2.imwrite(str(folder / "faces" / f"{index:03d}.png"), portrait()[: 300 + 8 * index, 40:400, ::-1])
    (folder / "faces" / "003.jpg").write_text("no picture")
    return folder


def write_config(folder: Path, text: str = CONFIG) -> Path:
    """The configuration as a file of its own."""
    path = folder / "micro.toml"
    path.write_text(text)
    return path


def micro_config(folder: Path, text: str = CONFIG) -> TrainConfig:
    """The configuration, read."""
    return read_config(write_config(folder, text))


def triple(number: int, person: str, kind: str = "pair") -> Triple:
    """A crop of the portrait, shifted by the number, and the same with a green face."""

    def cut(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        part = picture[10 + number : 210 + number, 130 - number : 330 - number]
        return np.asarray(cv2.resize(part, (PACK_SIZE, PACK_SIZE)), dtype=np.uint8)

    real, fake = cut(portrait()), cut(painted_green(portrait()))
    mask = (real != fake).any(axis=2).astype(np.uint8)
    # Eyes, nose and mouth corners of the portrait, in pixels of the crop.
    marks = (np.array([[205, 100], [243, 98], [225, 122], [209, 139], [243, 138]]) - (130 - number, 10 + number)) * 1.6
    return Triple(real, fake, mask, person, f"{person}_0.mp4", kind, marks.astype(np.float32))


def write_packs(folder: Path, *, validation: str = "bob") -> Path:
    """Packs of a few triples each; `validation` is the person kept for it."""
    write_pack(folder / "pairs", [triple(n, "ann") for n in range(4)], 4)
    write_pack(folder / "selfblend", [triple(n, "cid", "selfblend") for n in range(4)], 4)
    write_pack(folder / "validation", [triple(n, validation) for n in range(2)], 2)
    write_pack(folder / "calibration", [triple(n, "dot", "selfblend") for n in range(3)], 3)
    return folder


def streamguard(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command line as a person does, in a process of its own."""
    return run_python("-m", "streamguard", *arguments, timeout=timeout)


def run_python(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run this Python with these arguments, with the repository on its path and lines of one length."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """The environment of a child process."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1"}

"""A data root small enough for a test, packs of a portrait without one, and a recipe of three steps."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import torch

from streamguard.models import LoadedModel
from streamguard.models.architectures import build
from streamguard.models.networks import fresh
from streamguard.training.pack import CropPack, Example, open_packs, write_crop_pack
from streamguard.training.recipe import Recipe, read_recipe
from streamguard.types import UInt8Array
from tests.support.media_files import make_video, truncate
from tests.support.portraits import RATE, painted_green, portrait, portrait_pictures
from tests.support.warm import warm_python

ROOT = Path(__file__).parents[2]
SIDE = 200
"""Side of the pictures of the packs; the face's box is 85 by 109 of them."""
BOX = (184.0, 66.0, 269.0, 175.0)
"""The portrait's face, x0, y0, x1 and y1 in its pixels."""
LANDMARKS = np.array([[208, 102], [247, 104], [225, 124], [209, 142], [242, 143]], dtype=np.float32)
"""Eyes, nose and mouth corners of the portrait, in its pixels."""
RECIPE: dict[str, object] = {
    "name": "micro",
    "network": "unet_lite0",
    "warmup_steps": 1,
    "validate_every": 2,
    "sources": [
        {"kind": "registered", "share": 2, "fakes": ["swaps"]},
        {"kind": "loose", "share": 1, "fakes": ["loose"]},
        {"kind": "selfblend", "share": 1, "reals": ["real"]},
    ],
    "stages": [
        {"steps": 2, "patch": 64, "pairs": 1, "rate": [1e-3, 1e-3]},
        {"steps": 1, "patch": 96, "pairs": 1, "rate": [1e-3, 1e-4]},
    ],
}
COLLECTIONS = """
[[collections]]
kind = "side_by_side"
folder = "pairs"
held = ["Bob_Ray"]

[[collections]]
kind = "paired_crops"
folder = "dfdc"

[[collections]]
kind = "placed_crops"
folder = "ffpp"

[[collections]]
kind = "listed_clips"
folder = "wild"
held_every = 2

[[collections]]
kind = "folder"
folder = "faces/web"
held_every = 2
"""


def recipe_text(**changes: object) -> str:
    """`RECIPE` as TOML, with other values or further keys of the first level; None leaves one out."""
    values = {**RECIPE, **changes}
    return "".join(f"{key} = {_toml(value)}\n" for key, value in values.items() if value is not None)


def write_recipe(folder: Path, text: str | None = None, **changes: object) -> Path:
    """The recipe as a file of its own."""
    path = folder / "micro.toml"
    path.write_text(recipe_text(**changes) if text is None else text)
    return path


def micro_recipe(folder: Path, **changes: object) -> Recipe:
    """The recipe, read."""
    return read_recipe(write_recipe(folder, recipe_text(**changes)))


def views(number: int = 0) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """Real, fake and mask of a crop of the portrait, which `number` shifts by so many pixels."""
    top, left = 10 + number % 20, 130 - number % 20
    real, fake = (np.ascontiguousarray(each[top : top + SIDE, left : left + SIDE]) for each in _portraits())
    return real, fake, (real != fake).any(axis=2).astype(np.uint8)


def example(
    number: int, group: str = "ann", kind: str = "pair", set_: str = "swaps", program: str = "DeepFaceLive"
) -> Example:
    """A face of a pack: the portrait shifted by `number`, and the same with a green face.

    Args:
        number: shifts the crop.
        group, program: as in the manifest; `set_` is its set.
        kind: `pair`, or `real` or `fake` alone.
    """
    real, fake, mask = views(number)
    shift = np.array([130 - number % 20, 10 + number % 20])
    x0, y0, x1, y1 = (float(value) for value in np.array(BOX) - [*shift, *shift])
    return Example(
        real=None if kind == "fake" else _coded(real),
        fake=None if kind == "real" else _coded(fake),
        mask=_coded(mask * 255) if kind == "pair" else None,
        box=(x0, y0, x1, y1),
        landmarks=(LANDMARKS - shift).astype(np.float32),
        inside=(0.0, 0.0, float(SIDE), float(SIDE)),
        group=group,
        set=set_,
        program=program,
        file=f"{set_}/{group}_{number}.png",
    )


def write_packs(folder: Path, *, train: Sequence[str] = ("ann", "bob"), validation: Sequence[str] = ("cid",)) -> Path:
    """`folder/train/SET` and `folder/validation/SET`: `swaps` registered, `loose` of two programs, `real` faces.

    Args:
        folder: made where it is missing.
        train, validation: the groups of each side.
    """
    kinds = [("fake", "Diffusion"), ("fake", "Lips"), ("real", "recording"), ("fake", "Lips"), ("real", "call")]
    for side, groups, count in (("train", train, 4), ("validation", validation, 2)):
        swaps = [example(n + 4 * place, group) for place, group in enumerate(groups) for n in range(count)]
        loose = [
            example(n, group, kind, "loose", program)
            for group in groups
            for n, (kind, program) in enumerate(kinds[: count + 1])
        ]
        faces = [example(n, f"face{n}-{side}", "real", "real", "portrait") for n in range(count)]
        for name, examples in (("swaps", swaps), ("loose", loose), ("real", faces)):
            write_crop_pack(folder / side / name, examples)
    return folder


def tiny_model(seed: int = 1) -> LoadedModel:
    """A Unet of a few thousand weights: a step of it takes milliseconds."""
    spec = replace(fresh("unet_v1").spec, features=8, steps=3, working_side=0, members=1, picture_norms=0)
    torch.manual_seed(seed)
    return LoadedModel(spec, build(spec))


def train_packs(folder: Path) -> list[CropPack]:
    """The packs that `write_packs` made for training."""
    return open_packs(folder / "train")


def held_packs(folder: Path) -> list[CropPack]:
    """Those that it made for validation."""
    return open_packs(folder / "validation")


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
    """What `COLLECTIONS` names, each kind as small as can be, and what cannot be used."""
    for name in ("pairs", "dfdc", "ffpp", "wild", "faces/web", "videos"):
        (folder / name).mkdir(parents=True)
    pair_clip(folder / "pairs" / "Ann_Lee_0.mp4")
    pair_clip(folder / "pairs" / "Bob_Ray_0.mp4", 0.4)
    faceless_pair(folder / "pairs" / "No_Body_0.mp4")
    make_video(folder / "videos" / "walk.mp4", size=(320, 240), rate=RATE, pictures=portrait_pictures(0.5))
    for index in range(4):
        write_picture(folder / "faces" / "web" / f"{index:03d}.png", portrait()[: 300 + 8 * index, 40:400])
    (folder / "faces" / "web" / "004.jpg").write_text("no picture")
    write_picture(folder / "faces" / "web" / "005.png", np.full((120, 120, 3), 90, np.uint8))
    paired_crops(folder / "dfdc")
    placed_crops(folder / "ffpp")
    listed_clips(folder / "wild")
    return folder


def write_collections(folder: Path, text: str = COLLECTIONS) -> Path:
    """The collections as a file of their own."""
    path = folder / "collections.toml"
    path.write_text(text)
    return path


def paired_crops(folder: Path) -> Path:
    """Crops with a `pairs.tsv`: two people's on either side, one fake of another size, one that is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[str, ...]] = [("real", "fake", "group", "split")]
    for number, (group, split) in enumerate([("p1", "train"), ("p2", "train"), ("p22", "validation")]):
        real, fake, _ = views(number)
        write_picture(folder / f"{group}_real.png", real)
        write_picture(folder / f"{group}_fake.png", fake)
        rows.append((f"{group}_real.png", f"{group}_fake.png", group, split))
    write_picture(folder / "p1_small.png", views()[1][:150])
    rows += [("p1_real.png", "p1_small.png", "p1", "train"), ("p2_real.png", "p2_none.png", "p2", "train")]
    write_table(folder / "pairs.tsv", rows)
    return folder


def placed_crops(folder: Path) -> Path:
    """Crops named POSITION__METHOD__NAME: a registered fake and one of another frame, on either side."""
    for start, split in ((0, "train"), (100, "validation")):
        for label in ("real", "fake"):
            (folder / split / label).mkdir(parents=True, exist_ok=True)
        for number in (0, 11):
            real, fake, _ = views(number)
            position = f"{start + number:05d}"
            write_picture(folder / split / "real" / f"{position}__original__a.png", real)
            write_picture(folder / split / "fake" / f"{position}__Deepfakes__b.png", fake)
            write_picture(folder / split / "fake" / f"{position}__FaceSwap__c.png", views(number + 6)[1])
    return folder


def listed_clips(folder: Path) -> Path:
    """Clips and a panel with `clips.tsv` and `tiles.tsv`; one clip is cut off, one is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    size = (320, 240)
    for name in ("talk_1", "talk_2", "cut"):
        make_video(
            folder / f"{name}.mp4", size=size, rate=RATE, pictures=portrait_pictures(0.4), gop=2, format="matroska"
        )
    truncate(folder / "cut.mp4", 0.6)
    for name in ("gan", "gan_held"):
        make_video(folder / f"{name}.mp4", size=size, rate=RATE, pictures=portrait_pictures(0.4, (0, 1)))
    pair_clip(folder / "panel.mp4", 0.4)
    columns = ("file", "label", "program", "person", "split")
    clips = [
        ("talk_1.mp4", "real", "interview", "dan", "train"),
        ("talk_2.mp4", "real", "interview", "eve", "train"),
        ("cut.mp4", "fake", "Diffusion", "fay", "train"),
        ("gone.mp4", "fake", "Diffusion", "fay", "train"),
        ("gan.mp4", "fake", "StyleGAN", "gus", "train"),
        ("gan_held.mp4", "fake", "StyleGAN", "hal", "validation"),
        ("panel.mp4", "panel", "Wav2Lip", "ida", "train"),
    ]
    write_table(folder / "clips.tsv", [columns, *clips])
    tiles = [
        ("panel.mp4", "source", "real", "0", "0", "320", "240"),
        ("panel.mp4", "Wav2Lip", "fake", "320", "0", "320", "240"),
    ]
    write_table(folder / "tiles.tsv", [("file", "program", "label", "x", "y", "w", "h"), *tiles])
    return folder


def write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Tab-separated lines; the first row names the columns."""
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


def write_picture(path: Path, rgb: UInt8Array) -> Path:
    """The picture in the format of its suffix."""
    cv2.imwrite(str(path), cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))
    return path


def streamguard(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return run_python("-m", "streamguard", *arguments, timeout=timeout)


def run_python(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    """Run this Python with these arguments, with the repository on its path and lines of one length."""
    return subprocess.run(
        [*warm_python(), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env=environment(),
    )


def environment() -> dict[str, str]:
    """The environment of a child process."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160", "TERM": "dumb", "NO_COLOR": "1"}


@cache
def _portraits() -> tuple[UInt8Array, UInt8Array]:
    return portrait(), painted_green(portrait())


def _coded(pixels: UInt8Array) -> bytes:
    ordered = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    return bytes(cv2.imencode(".png", ordered, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(part)}" for key, part in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)

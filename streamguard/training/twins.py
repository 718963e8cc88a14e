"""Twins: real faces rendered again by an autoencoder, pixel for pixel the same face with a neural decoder's texture.

They teach what generators leave, without what blending leaves ("Aligned Datasets Improve Detection of Latent
Diffusion-Generated Images", ICLR 2025). The renderer is TAEF2 (github.com/madebyollin/taesd, MIT licence), whose
weights the user brings; colour and sharpness of a twin are brought back to those of the real face, or they would be
learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import safetensors
import torch
from safetensors.torch import load_file
from torch import nn

from streamguard.errors import DataError
from streamguard.training.pack import CropPack, Example, open_packs, write_crop_pack
from streamguard.training.parts import coded
from streamguard.types import FloatArray, UInt8Array

TWINS = "twins"
FEATURES, CODE = 64, 32
SIDES = (112, 144, 176, 208)
"""A face is rendered at one of these sizes of its crop's longer side, in pixels."""
MARGIN = 1.35
"""Side of what is rendered as a multiple of the face box's longer side."""
BANDS = (1.0, 2.0, 4.0)
"""Sigmas in pixels of the bands of detail whose strength is brought back."""


class _ResidualBlock(nn.Module):
    def __init__(self, pool: bool = False) -> None:
        super().__init__()
        sizes = [nn.Conv2d(FEATURES, FEATURES, 3, padding=1) for _ in range(3)]
        self.conv = nn.Sequential(sizes[0], nn.ReLU(), sizes[1], nn.ReLU(), sizes[2])
        self.pool = (
            nn.Sequential(
                nn.Conv2d(FEATURES, 4 * FEATURES, 1, bias=False),
                nn.GroupNorm(4, 4 * FEATURES),
                nn.ReLU(),
                nn.Conv2d(4 * FEATURES, FEATURES, 1, bias=False),
            )
            if pool
            else None
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.pool is not None:
            x = x + self.pool(x)
        return torch.relu(self.conv(x) + x)


class _Clamp(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 3 * torch.tanh(x / 3)


def _conv(inputs: int, outputs: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1, stride=stride, bias=bias)


class Taef2(nn.Module):
    """The renderer: [N, 3, H, W], 0..1, H and W multiples of 8, to the same again through its code.

    Args:
        folder: holds `taef2_encoder.safetensors` and `taef2_decoder.safetensors`.

    Raises:
        DataError: they are missing or of another network.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        encoder: list[nn.Module] = [_conv(3, FEATURES), _ResidualBlock()]
        for pool in (False, False, True):
            encoder += [_conv(FEATURES, FEATURES, 2, bias=False), *(_ResidualBlock(pool) for _ in range(3))]
        self.encoder = nn.Sequential(*encoder, _conv(FEATURES, CODE))
        decoder: list[nn.Module] = [_Clamp(), _conv(CODE, FEATURES), nn.ReLU()]
        for pool in (True, False, False):
            decoder += [_ResidualBlock(pool) for _ in range(3)]
            decoder += [nn.Upsample(scale_factor=2), _conv(FEATURES, FEATURES, bias=False)]
        self.decoder = nn.Sequential(*decoder, _ResidualBlock(), _conv(FEATURES, 3))
        for name, part in (("encoder", self.encoder), ("decoder", self.decoder)):
            path = folder / f"taef2_{name}.safetensors"
            try:
                part.load_state_dict({key: value.float() for key, value in load_file(path).items()})
            except (OSError, RuntimeError, safetensors.SafetensorError) as error:
                raise DataError(
                    str(path), "not the weights of TAEF2", "give the folder that holds both files"
                ) from error
        self.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs know 4-d tensors only

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """[N, 3, H, W], 0..1 -> [N, 3, H, W], about 0..1."""
        rendered: torch.Tensor = self.decoder(self.encoder(pictures))
        return rendered


def make_twins(folder: Path, weights: Path, count: int, advance: Callable[[str, int, int], None]) -> int | None:
    """Write the pack `twins` beside the packs of a folder; how many it holds, None where it was there.

    Raises:
        DataError: `weights` are not those of TAEF2, there is no real face to render, or the pack cannot be written.
    """
    if (folder / TWINS / "index.npz").is_file():
        return None
    renderer = Taef2(weights)
    packs = open_packs(folder)
    return write_crop_pack(
        folder / TWINS, twin_examples(packs, renderer, count, lambda done, total: advance(TWINS, done, total))
    )


def twin_examples(
    packs: Sequence[CropPack],
    renderer: Taef2,
    count: int,
    advance: Callable[[int, int], None],
    seed: int = 1,
) -> Iterator[Example]:
    """`count` real faces of the packs, sets alike often, each with its twin.

    Args:
        packs: faces of the training side.
        renderer: makes the twins.
        count: how many.
        advance: called with faces done and faces in all.
        seed: of the choice.

    Raises:
        DataError: there is no real face in the packs.
    """
    random = np.random.default_rng(seed)
    of_set: dict[str, list[tuple[CropPack, int]]] = {}
    for pack in packs:
        for number in np.flatnonzero(pack.real >= 0):
            of_set.setdefault(str(pack.set[number]), []).append((pack, int(number)))
    names = sorted(of_set)
    if not names:
        raise DataError("packs", "they hold no real face to render again", "pack real faces as well")
    for done in range(count):
        advance(done, count)
        members = of_set[names[int(random.integers(len(names)))]]
        pack, chosen = members[int(random.integers(len(members)))]
        x0, y0, x1, y1 = _region(pack.box[chosen], pack.inside[chosen])
        picture = pack.picture(int(pack.real[chosen]))[y0:y1, x0:x1]
        scale = min(1.0, float(random.choice(SIDES)) / max(picture.shape[:2]))
        height, width = (max(64, round(length * scale / 8) * 8) for length in picture.shape[:2])
        real = np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        with torch.inference_mode():
            tensor = torch.from_numpy(real).permute(2, 0, 1)[None].float().div(255)
            rendered = renderer(tensor.contiguous(memory_format=torch.channels_last))[0].permute(1, 2, 0).mul(255)
        twin = levelled(real, rendered.numpy(), random)
        ratio = np.array([width / picture.shape[1], height / picture.shape[0]] * 2, dtype=np.float32)
        box = (pack.box[chosen] - (x0, y0, x0, y0)) * ratio
        yield Example(
            real=coded(real),
            fake=coded(twin),
            mask=bytes(cv2.imencode(".png", np.full((height, width), 255, np.uint8))[1]),
            box=(float(box[0]), float(box[1]), float(box[2]), float(box[3])),
            landmarks=((pack.landmarks[chosen] - (x0, y0)) * ratio[:2]).astype(np.float32),
            inside=(0.0, 0.0, float(width), float(height)),
            group=str(pack.group[chosen]),
            set=TWINS,
            program="TAEF2",
            file=str(pack.file[chosen]),
        )
    advance(count, count)


def _region(box: FloatArray, inside: FloatArray) -> tuple[int, int, int, int]:
    """The square around the face, as far as it was recorded: x0, y0, x1, y1."""
    half = float(max(box[2] - box[0], box[3] - box[1])) * MARGIN / 2
    x, y = float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2
    low = round(max(x - half, float(inside[0]))), round(max(y - half, float(inside[1])))
    high = round(min(x + half, float(inside[2]))), round(min(y + half, float(inside[3])))
    return low[0], low[1], max(high[0], low[0] + 8), max(high[1], low[1] + 8)


def levelled(real: UInt8Array, rendered: FloatArray, random: np.random.Generator) -> UInt8Array:
    """The rendered picture with the real one's colour and shading, and mostly its strength in each band of detail.

    Args:
        real: uint8 [H, W, 3].
        rendered: float32 [H, W, 3] in levels 0..255.
        random: how far each band is brought back, 0.5 to 1.
    """
    fine_real, fine_made = real.astype(np.float32), rendered.astype(np.float32)
    bands: list[tuple[FloatArray, FloatArray]] = []
    for sigma in BANDS:
        soft_real, soft_made = (cv2.GaussianBlur(each, (0, 0), sigma) for each in (fine_real, fine_made))
        bands.append((fine_real - soft_real, fine_made - soft_made))
        fine_real, fine_made = np.asarray(soft_real, np.float32), np.asarray(soft_made, np.float32)
    made = fine_real
    for wanted, have in bands:
        gain = np.clip(float(np.std(wanted)) / max(float(np.std(have)), 1e-3), 0.5, 3.0)
        made = made + have * (1 + (gain - 1) * random.uniform(0.5, 1.0))
    return np.asarray(np.clip(made + 0.5, 0, 255), dtype=np.uint8)

"""The training configuration: one small TOML file, kept beside the weights it made."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, field_validator, model_validator

from streamguard.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
IMAGENET = "imagenet"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DataTable(_Table):
    """Where the material lies, below the data root, and who is kept for validation."""

    pairs: str = ""
    """Folder of side-by-side clips: left half real, right half fake, pixel-registered."""
    real_videos: tuple[str, ...] = ()
    faces: tuple[str, ...] = ()
    """Folders of real portraits, one person a file."""
    faces_per_folder: int = Field(default=1000, ge=1)
    validation_persons: tuple[str, ...] = ()
    """Persons (clip name up to the last `_`, or the whole stem) never trained on."""
    validation_every: int = Field(default=10, ge=2)
    """Every n-th portrait of a folder, sorted by name, is kept for validation."""


class PrepareTable(_Table):
    """How the pack is made."""

    seed: int = 1
    pair_stride: int = Field(default=3, ge=1)
    pair_variants: int = Field(default=3, ge=1)
    """Per clip: the recording itself and further ones after rescaling and re-encoding at call bitrates."""
    video_stride: int = Field(default=12, ge=1)
    blends_per_face: int = Field(default=2, ge=1)
    blends_per_half: int = Field(default=6, ge=1)
    """Passes over the real halves of the pairs, each with other frames and other blends."""


Upsampling = Literal["nearest", "bilinear", "shuffle", "transposed"]


class RendererTable(_Table):
    """A network that renders faces (see `rerender.autoencoder`)."""

    halvings: Literal[3, 4] = 3
    """How often the side is halved on the way to the code."""
    upsampling: Upsampling = "nearest"
    """How the decoder doubles it again."""
    channels: int = Field(default=8, ge=1, le=64)
    """Of the code."""
    steps: int = Field(default=500, ge=1)
    """That it is taught for."""


class RerenderTable(_Table):
    """The pack of faces rendered again."""

    seed: int = 1
    networks: tuple[RendererTable, ...] = Field(min_length=1)
    triples: int = Field(default=4500, ge=1)
    pair_share: Share = 0.3
    """Share of the faces that are taken from the real halves of the pairs."""
    donor_share: Share = 0.25
    """Share of the faces whose code is moved towards another person's."""


class Stage(_Table):
    """A stretch of training at one patch size."""

    steps: int = Field(ge=1)
    patch: int = Field(ge=64, le=256, multiple_of=32)
    pairs: int = Field(ge=1)
    """(real, fake) pairs of patches per step."""
    plain_share: Share = 0.0
    """Share of plain fakes: a whole inner face of low resolution (see `selfblend.swap_like_blend`). What is easily
    seen is learned first, and opens the way for the rest."""
    zoom: tuple[PositiveFloat, PositiveFloat] = (0.8, 1.25)
    """Smallest and largest scale of what a patch shows, against the model's; at `patch / 256` it is the whole face."""
    degrade: Share = 0.4
    """Share of the patches that are rescaled, made noisy or compressed once more, real and fake alike."""
    blur: Share = 0.0
    """Share of the patches that are blurred first, real and fake alike: fine detail is what a network learns its few
    training clips by heart from."""
    dice: float = Field(default=1.0, ge=0)
    """Weight of the Dice term. Small at first: it pays for knowing where faces are, not which are fake."""

    @field_validator("zoom")
    @classmethod
    def _rising(cls, zoom: tuple[float, float]) -> tuple[float, float]:
        if zoom[0] > zoom[1]:
            raise ValueError("the smallest scale comes first")
        return zoom


class TrainTable(_Table):
    """The optimisation."""

    seed: int = 1
    start_from: str | tuple[str, ...] = ""
    """Name or folder of a detector of the same network whose weights are the start; of several the mean is taken
    (model soups: Wortsman et al., 2022); `imagenet`: the encoder of `unet_lite0` as ImageNet taught it; empty: random
    weights."""
    learning_rate: float = Field(default=1e-3, gt=0)
    schedule: Literal["cosine", "constant"] = "cosine"
    """How the learning rate goes on after the warm-up: down to a hundredth along half a cosine, or as it is."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Of the kernels, decoupled (AdamW: Loshchilov and Hutter, 2019)."""
    warmup_steps: int = Field(default=200, ge=0)
    selfblend_share: Share = 0.4
    fresh_share: Share = 0.5
    """Share of the self-blends made anew in training from any real crop, instead of the pack's own fake."""
    donor_share: Share = 0.0
    """Share of those in which another person's face is put on (see `donor_blend`), instead of the same one."""
    swapped_donor_share: Share = 0.0
    """Share of those faces that come out of a pair's fake: what a swap network makes, on people and pictures it was
    never seen with."""
    rerendered_share: Share = 0.0
    """Share of all fakes that are faces rendered again (see `rerender`); the other shares divide the rest."""
    mix_share: Share = 0.5
    """Share of the pairs of which only a random part of the fake is left (see `augment.mix`)."""
    hard_share: Share = 0.0
    """Share of the pairs whose example is drawn by its last known loss, larger ones more often; the others are drawn
    uniformly (see `hard_examples`)."""
    augment_on: Literal["cpu", "device"] = "cpu"
    """Where fakes are blended and views made: one by one on the CPU, or a whole batch at once on the device that trains
    (see `batched`), for a GPU that learns faster than the CPU can make patches."""
    picture_loss: float = Field(default=0.5, ge=0)
    """Weight of the picture-level loss on the pooled map."""
    encoder_loss: float = Field(default=1.0, ge=0)
    """Weight of the training-only head on the encoder (see `encoder_head`)."""
    average: float = Field(default=0.998, ge=0, lt=1)
    """Decay of the exponential moving average of the weights that is shipped."""
    validate_every: int = Field(default=500, ge=1)
    stages: tuple[Stage, ...] = Field(min_length=1)


class TrainConfig(_Table):
    """The whole file."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    network: str
    """`unet`, `unet_v1` or `unet_lite0`."""
    data: DataTable
    prepare: PrepareTable = PrepareTable()
    rerender: RerenderTable | None = None
    train: TrainTable

    @model_validator(mode="after")
    def _rendered_where_asked(self) -> Self:
        if self.train.rerendered_share and self.rerender is None:
            raise ValueError("rerendered_share needs a table [rerender] with its networks")
        return self


def read_config(path: Path) -> TrainConfig:
    """The configuration in `path`.

    Raises:
        ConfigError: the file is missing, no TOML, or holds an unknown, missing or wrong key.
    """
    try:
        return TrainConfig.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(
            str(path), f"cannot be read ({error.strerror})", "give the path of a training TOML"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"not valid TOML ({error})", "correct the file") from error
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        cause = f"unknown key `{key}`" if problem["type"] == "extra_forbidden" else f"`{key}`: {problem['msg']}"
        raise ConfigError(str(path), cause, "correct or remove the key") from error

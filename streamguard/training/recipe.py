"""The training recipe: one small TOML file, kept beside the weights it made."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, ValidationError, model_validator

from streamguard.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
IMAGENET = "imagenet"


class _RecipeTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceTable(_RecipeTable):
    """One kind of (real, fake) pairs, and how often it is drawn."""

    kind: Literal["registered", "loose", "selfblend", "mouth"]
    """`registered`: a fake and the real picture it was made from, with mask truth. `loose`: a fake and a real picture,
    of the same group where there is one; no pixel of the fake is taught, only that the picture is fake. `selfblend`: a
    real picture and the same one blended with an altered copy of itself. `mouth`: a real picture and the same one with
    the lower face of another picture of its group, rendered poorer."""
    share: PositiveFloat
    """How often, beside the shares of the other sources."""
    fakes: tuple[str, ...] = ()
    """Sets that the fakes are taken from."""
    reals: tuple[str, ...] = ()
    """Sets that the real pictures of loose, self-blended and mouth pairs are taken from; empty: those of the fakes."""
    parts: Share = 0.4
    """Share of the registered fakes of which only a random part is left."""
    mixup: Share = 0.2
    """Share of the registered fakes that are mixed with their real picture, the target as strong as the fake."""

    zoom: tuple[PositiveFloat, PositiveFloat] | None = None
    """Instead of the view's: crops without surroundings fill a patch at a larger scale only."""

    @property
    def blends(self) -> bool:
        """Whether its fakes are made of real pictures."""
        return self.kind in ("selfblend", "mouth")

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.blends and not self.reals:
            raise ValueError("a source of blends needs `reals`")
        if not self.blends and not self.fakes:
            raise ValueError("a source needs `fakes`")
        _check_rising(self.zoom)
        return self


class ViewTable(_RecipeTable):
    """Views of a patch and what they went through; real and fake of a pair go through the same."""

    zoom: tuple[PositiveFloat, PositiveFloat] = (0.75, 1.35)
    """Smallest and largest scale against the live crop at the network's working side."""
    blur: Share = 0.25
    """Share of the patches that are blurred first."""
    degrade: Share = 0.6
    """Share of the patches that are rescaled, made noisy or compressed once more."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        _check_rising(self.zoom)
        return self


def _check_rising(zoom: tuple[float, float] | None) -> None:
    if zoom and zoom[0] > zoom[1]:
        raise ValueError("zoom: the smallest scale comes first")


class StageTable(_RecipeTable):
    """A stretch of training."""

    steps: int = Field(ge=1)
    patch: int = Field(ge=64, le=256, multiple_of=32)
    """Side of a patch in pixels of the working scale; below the working side a part of the crop is seen."""
    pairs: int = Field(ge=1)
    """(real, fake) pairs of patches in a step."""
    rate: tuple[PositiveFloat, PositiveFloat]
    """Learning rate at the stage's first and last step; it moves along half a cosine."""


class Recipe(_RecipeTable):
    """The whole file."""

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    network: str
    """`unet`, `unet_v1` or `unet_lite0`."""
    start_from: str = ""
    """A detector of the same network whose weights are the start; `imagenet`: the encoder of `unet_lite0` as ImageNet
    taught it; empty: random weights."""
    seed: int = 1
    weight_decay: float = Field(default=0.05, ge=0)
    warmup_steps: int = Field(default=200, ge=0)
    dice: float = Field(default=0.3, ge=0)
    """Weight of `-ln(DICE)` beside the BCE of the masks."""
    picture_loss: float = Field(default=3.0, ge=0)
    """Weight of the picture-level loss on the pooled map."""
    encoder_loss: float = Field(default=1.0, ge=0)
    """Weight of the training-only head on the encoder."""
    teacher: str = ""
    """A detector, of several networks perhaps, whose answers are learned beside the truth, by a network that marks
    pixels (distillation: Hinton et al., 2015): its name or folder; empty: none."""
    teacher_loss: PositiveFloat = 1.0
    """Weight of the distance to the teacher's logits, by pixel and pooled."""
    average: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the moving average of the weights that is shipped."""
    validate_every: int = Field(default=1000, ge=1)
    view: ViewTable = ViewTable()
    sources: tuple[SourceTable, ...] = Field(min_length=1)
    stages: tuple[StageTable, ...] = Field(min_length=1)

    @property
    def sets(self) -> tuple[str, ...]:
        """All that are learned from, sorted."""
        return tuple(sorted({name for source in self.sources for name in (*source.fakes, *source.reals)}))

    @property
    def steps(self) -> int:
        """Steps of all stages."""
        return sum(stage.steps for stage in self.stages)

    def stage(self, step: int) -> tuple[StageTable, float]:
        """The stage that a step (from 0) belongs to, and how far in it that step lies, 0..1."""
        for stage in self.stages:
            if step < stage.steps or stage is self.stages[-1]:
                return stage, min(1.0, step / max(1, stage.steps - 1))
            step -= stage.steps
        raise AssertionError("a recipe has a stage")


def read_recipe(path: Path) -> Recipe:
    """The recipe in `path`.

    Raises:
        ConfigError: the file is missing, no TOML, or holds an unknown, missing or wrong key.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})", "give the path of a recipe") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"not valid TOML ({error})", "correct the file") from error
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        cause = f"unknown key `{key}`" if problem["type"] == "extra_forbidden" else f"`{key}`: {problem['msg']}"
        raise ConfigError(str(path), cause, "correct or remove the key") from error

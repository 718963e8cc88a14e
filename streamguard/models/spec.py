"""The ModelSpec: everything a detector is besides its weights, read from `engines/<name>/spec.toml`."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from streamguard.errors import ConfigError, CorruptWeights, UnknownModel

Weights = Mapping[str, NDArray[np.float32]]
"""float32, by the names of the network's state."""
Unit = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]


class _SpecTable(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Network(_SpecTable):
    architecture: Literal["unet", "unet_lite0"]
    features: int = Field(ge=1, le=256)
    steps: int = Field(ge=2, le=8)
    picture_norms: int = Field(default=0, ge=0, le=8)
    working_side: int = Field(default=0, ge=0, le=1024, multiple_of=32)
    members: int = Field(default=1, ge=1, le=8)


class _Input(_SpecTable):
    size: int = Field(default=256, ge=32, le=1024)
    margin: float = Field(ge=1, le=3)
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]


class _Rule(_SpecTable):
    threshold: Unit
    unsure_threshold: Unit | None = None
    smallest_component: int = Field(default=100, ge=0)

    @field_validator("unsure_threshold")
    @classmethod
    def _below_fake(cls, value: float | None, info: ValidationInfo) -> float | None:
        threshold = info.data.get("threshold")
        if value is not None and threshold is not None and value > threshold:
            raise ValueError(f"{value} exceeds rule.threshold {threshold}")
        return value


class _Calibration(_SpecTable):
    slope: Positive = 1.0
    offset: float = 0.0


class _Gate(_SpecTable):
    smallest_face: float = Field(default=48.0, ge=0)
    least_sharpness: float = Field(default=0.0, ge=0)
    least_inside: Unit = 0.75


class _Weights(_SpecTable):
    # A name, no path: a spec must not lead out of its folder.
    file: str = Field(default="weights.safetensors", pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$")
    sha256: str = ""


class _SpecDocument(_SpecTable):
    name: str = Field(pattern=r"^[a-z0-9_]+$")
    description: str = ""
    network: _Network
    input: _Input
    rule: _Rule
    calibration: _Calibration = _Calibration()
    gate: _Gate = _Gate()
    weights: _Weights = _Weights()

    @model_validator(mode="after")
    def _as_built(self) -> Self:
        network = self.network
        if network.architecture == "unet_lite0" and (network.steps, network.picture_norms) != (6, 0):
            raise ValueError("a unet_lite0 has network.steps = 6 and no network.picture_norms")
        if network.architecture == "unet" and network.working_side:
            raise ValueError("a unet works at input.size: leave out network.working_side")
        return self

    @model_validator(mode="after")
    def _halved_evenly(self) -> Self:
        multiple = 2 ** (self.network.steps - 1)
        if self.input.size % multiple:
            raise ValueError(f"input.size {self.input.size} is no multiple of {multiple}, as network.steps asks")
        return self


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Description of a detector.

    Attributes:
        name: its folder's name under `engines/`.
        description: one sentence for people.
        architecture: `unet`, or `unet_lite0`: one over EfficientNet-Lite0.
        features: channels of the finest decoder.
        steps: number of resolutions; always 6 of `unet_lite0`.
        picture_norms: of `unet`: encoders normalised within the picture.
        working_side: of `unet_lite0`: side in pixels that the input is brought down to inside; 0: it is not.
        members: networks of that shape whose logits are averaged.
        size: side of the square input in pixels.
        margin: side of the crop as a multiple of the face box's longer side; the same in training and live.
        mean, std: RGB normalisation of pixels scaled to 0..1.
        threshold: a pixel whose fake probability is above it is fake, 0..1.
        smallest_component: components up to this many model pixels are ignored.
        calibration_slope, calibration_offset: Platt scaling of the raw score (Platt, 1999).
        smallest_face: shorter side of the face box in frame pixels below which a face is not judged.
        least_sharpness: sharpness of the crop below which a face is not judged (see `faces.gate`).
        least_inside: share of the crop inside the picture below which a face is not judged, 0..1.
        unsure_threshold: a face that is not fake is unsure where pixels are above it, 0..1, at most `threshold`; equal
            to it or None: no face is.
        weights_file, weights_sha256: the safetensors file beside the spec and its hash.
        folder: where the spec was read; None for a model made in memory.
        digest: 12 hex digits naming spec and weights together.
    """

    name: str
    description: str
    architecture: str
    features: int
    steps: int
    picture_norms: int
    working_side: int
    members: int
    size: int
    margin: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    threshold: float
    smallest_component: int
    calibration_slope: float = 1.0
    calibration_offset: float = 0.0
    smallest_face: float = 48.0
    least_sharpness: float = 0.0
    least_inside: float = 0.75
    unsure_threshold: float | None = None
    weights_file: str = "weights.safetensors"
    weights_sha256: str = ""
    folder: Path | None = None
    digest: str = ""


def read_spec(folder: Path) -> ModelSpec:
    """The spec in `folder/spec.toml`.

    Raises:
        UnknownModel: there is no such file.
        ConfigError: it is no TOML, or a key is unknown, missing or out of range.
    """
    path = folder / "spec.toml"
    try:
        text = path.read_bytes()
    except OSError as error:
        raise UnknownModel(
            str(folder), f"no detector here ({error.strerror})", "run `streamguard doctor` to see what is installed"
        ) from error
    return parse_spec(text, thing=str(path), folder=folder)


def parse_spec(text: bytes, *, thing: str, folder: Path | None = None) -> ModelSpec:
    """The spec written in TOML `text`; `thing` names it in errors.

    Raises:
        ConfigError: it is no TOML, or a key is unknown, missing or out of range.
    """
    try:
        document = _SpecDocument.model_validate(tomllib.loads(text.decode()))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(thing, f"not valid TOML ({error})", "correct the file") from error
    except ValidationError as error:
        raise ConfigError(thing, _first(error), "correct the key; see engines/README.md for all keys") from error
    return ModelSpec(
        name=document.name,
        description=document.description,
        **document.network.model_dump(),
        **document.input.model_dump(),
        **document.rule.model_dump(),
        calibration_slope=document.calibration.slope,
        calibration_offset=document.calibration.offset,
        **document.gate.model_dump(),
        weights_file=document.weights.file,
        weights_sha256=document.weights.sha256,
        folder=folder,
        digest=hashlib.sha256(text).hexdigest()[:12],
    )


def format_spec(spec: ModelSpec) -> str:
    """The spec as TOML; `parse_spec` reads it back."""
    tables: dict[str, dict[str, Any]] = {
        "network": {
            "architecture": spec.architecture,
            "features": spec.features,
            "steps": spec.steps,
            "picture_norms": spec.picture_norms,
            "working_side": spec.working_side,
            "members": spec.members,
        },
        "input": {"size": spec.size, "margin": spec.margin, "mean": list(spec.mean), "std": list(spec.std)},
        "rule": {
            "threshold": spec.threshold,
            **({} if spec.unsure_threshold is None else {"unsure_threshold": spec.unsure_threshold}),
            "smallest_component": spec.smallest_component,
        },
        "calibration": {"slope": spec.calibration_slope, "offset": spec.calibration_offset},
        "gate": {
            "smallest_face": spec.smallest_face,
            "least_sharpness": spec.least_sharpness,
            "least_inside": spec.least_inside,
        },
        "weights": {"file": spec.weights_file, "sha256": spec.weights_sha256},
    }
    lines = [f"name = {_toml(spec.name)}", f"description = {_toml(spec.description)}"]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *(f"{key} = {_toml(value)}" for key, value in table.items())]
    return "\n".join(lines) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, str):
        # JSON's escapes are TOML's, but TOML wants this character escaped, too.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return repr(value)


def _first(error: ValidationError) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"unknown key `{key}`"
    message = problem["msg"].removeprefix("Value error, ")
    return f"`{key}`: {message}" if key else message


def unfitting_weights(spec: ModelSpec) -> CorruptWeights:
    """Error for weights that are whole, and not those of the spec's network."""
    cause = "the weights do not fit the network of the spec"
    return CorruptWeights(spec.name, cause, "restore both files from the same release")

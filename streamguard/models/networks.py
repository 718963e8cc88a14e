"""Detectors of networks in PyTorch: fresh ones, joined ones, and saved."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import save as save_tensors

from streamguard.errors import DataError, OutputError, UnknownModel
from streamguard.files import write_bytes
from streamguard.models.architectures import build
from streamguard.models.ensemble import Ensemble
from streamguard.models.spec import ModelSpec, format_spec, parse_spec
from streamguard.models.store import CROP_MARGIN, LoadedModel

# Every one of the 256 levels is exact in bfloat16 after this: traces of one level are not rounded away.
MEAN = (128 / 255, 128 / 255, 128 / 255)
STD = (64 / 255, 64 / 255, 64 / 255)
LITE_STD = (128 / 255, 128 / 255, 128 / 255)
"""Normalisation that EfficientNet-Lite was taught ImageNet with."""
PICTURE_NORMS = 2
"""Encoders normalised within the picture, of `unet` and `unet_v1` trained from now on."""


@dataclass(frozen=True, slots=True)
class _Shape:
    architecture: str
    features: int
    steps: int
    picture_norms: int
    working_side: int
    members: int = 1


SHAPES = {
    "unet": _Shape("unet", 32, 5, PICTURE_NORMS, 0),
    "unet_v1": _Shape("unet", 16, 6, PICTURE_NORMS, 0),
    "unet_lite0": _Shape("unet_lite0", 16, 6, 0, 160),
}
"""The networks that can be trained."""


_HEAD = ("head.weight", "head.bias")
_SEEN = (
    *("architecture", "features", "steps", "picture_norms", "working_side", "members"),
    *("size", "margin", "mean", "std"),
)
"""Keys that detectors must share to be joined: of the network and its input."""


def join(models: Sequence[LoadedModel], weights: Sequence[float] = ()) -> LoadedModel:
    """One detector of several of the same network: their logits are averaged, with the first one's spec.

    Args:
        models: at least two.
        weights: how much each one's logits count, above 0; all the same when empty.

    Raises:
        DataError: they are not of the same network and input, or there are fewer than two.
    """
    first = models[0].spec
    alike = {tuple(getattr(model.spec, key) for key in _SEEN) for model in models}
    names = ", ".join(model.spec.name for model in models)
    if len(alike) > 1 or len(models) < 2 or first.members > 1:
        raise DataError(
            names, "not several single networks of one shape", "join detectors trained for the same network"
        )
    shares = weights or [1.0] * len(models)
    if len(shares) != len(models) or min(shares) <= 0:
        raise DataError(names, f"the weights {shares} do not fit", "give one above 0 for each detector")
    spec = replace(first, members=len(models), weights_sha256="", folder=None, digest="")
    whole = build(spec)
    assert isinstance(whole, Ensemble)
    for member, model, share in zip(whole.members, models, shares, strict=True):
        # The head is linear: a weighted mean of logits is a mean of logits from scaled heads.
        factor = share * len(models) / sum(shares)
        state = model.network.state_dict()
        member.load_state_dict({key: value * factor if key in _HEAD else value for key, value in state.items()})
    return LoadedModel(spec, whole)


def fresh(name: str, seed: int = 0) -> LoadedModel:
    """A randomly initialised network of `SHAPES`.

    Raises:
        UnknownModel: no such shape.
    """
    if name not in SHAPES:
        raise UnknownModel(name, "no network of that name", f"choose one of {', '.join(sorted(SHAPES))}")
    architecture = SHAPES[name].architecture
    spec = ModelSpec(
        name=name,
        description="",
        **asdict(SHAPES[name]),
        size=256,
        margin=CROP_MARGIN,
        mean=MEAN,
        std=STD if architecture == "unet" else LITE_STD,
        threshold=0.5,
        smallest_component=100,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(spec)
    digest = hashlib.sha256(f"{format_spec(spec)}{seed}".encode()).hexdigest()[:12]
    return LoadedModel(replace(spec, digest=digest), network)


def save(model: LoadedModel, folder: Path) -> ModelSpec:
    """Write `spec.toml` and half-precision weights into `folder`, each by write-then-rename.

    Returns the spec as written (hash and digest filled in).

    Raises:
        OutputError: the folder cannot be written.
    """
    # Kernels only: a running variance may lie beyond the largest half-precision number.
    state = {key: value.half() if value.ndim > 1 else value for key, value in model.network.state_dict().items()}
    data = save_tensors({key: value.contiguous() for key, value in state.items()})
    spec = replace(model.spec, weights_sha256=hashlib.sha256(data).hexdigest(), folder=folder)
    text = format_spec(spec).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            str(folder), f"cannot be written ({error.strerror})", "free space or choose another"
        ) from error
    write_bytes(folder / spec.weights_file, data)
    write_bytes(folder / "spec.toml", text)
    return parse_spec(text, thing=str(folder), folder=folder)

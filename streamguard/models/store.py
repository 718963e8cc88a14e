"""Detectors on disk: find and load `engines/<name>/`, without PyTorch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import safetensors
from numpy.typing import NDArray
from safetensors.numpy import load as load_arrays

from streamguard.errors import CorruptWeights, UnknownModel
from streamguard.models.spec import ModelSpec, Weights, read_spec

if TYPE_CHECKING:
    from torch import nn

DEFAULT_MODEL = "unet_lite0"
CROP_MARGIN = 1.3


class LoadedModel:
    """A spec and its network in evaluation mode, float32, on the CPU.

    The network is made when it is first asked for: an engine from the cache needs none, nor PyTorch, whose import takes
    longer than all the rest of a start.

    Args:
        spec: of the detector.
        network: where it is there already.
        weights: where it is not.
    """

    def __init__(
        self,
        spec: ModelSpec,
        network: nn.Module | None = None,
        weights: Mapping[str, NDArray[np.float32]] | None = None,
    ) -> None:
        self.spec = spec
        self._weights = weights
        if network is not None:
            self.network = network

    @cached_property
    def network(self) -> nn.Module:
        """The network.

        Raises:
            CorruptWeights: the weights do not fit it.
        """
        from streamguard.models.architectures import filled

        return filled(self.spec, self._weights or {})

    def weights(self) -> Weights:
        """The weights by the names of the network's state."""
        if self._weights is not None:
            return self._weights
        return {key: value.float().numpy() for key, value in self.network.state_dict().items()}


def engines_folder() -> Path:
    """Folder of the shipped detectors: `engines/` of a source tree, or inside the installed package."""
    package = Path(str(resources.files("streamguard")))
    inside = package / "engines"
    return inside if inside.is_dir() else package.parent / "engines"


def available(folder: Path | None = None) -> tuple[str, ...]:
    """Names of the detectors in `folder` (default: the shipped ones), sorted."""
    base = folder or engines_folder()
    return tuple(sorted(path.parent.name for path in base.glob("*/spec.toml")))


def find(name: str, folder: Path | None = None) -> tuple[Path, ModelSpec]:
    """Return the folder of the detector `name` and its spec; weights are not read. Arguments as of `load`.

    Raises:
        UnknownModel: there is none of that name.
        ConfigError: its spec cannot be read.
    """
    base = folder or engines_folder()
    place = Path(name) if (Path(name) / "spec.toml").is_file() else base / name
    if not (place / "spec.toml").is_file():
        names = ", ".join(available(base)) or "none"
        raise UnknownModel(name, "no detector of that name", f"choose one of: {names}")
    return place, read_spec(place)


def load(name: str, folder: Path | None = None) -> LoadedModel:
    """The detector `name` of `folder` (default: the shipped ones); a path to a detector's folder also serves.

    Raises:
        UnknownModel: there is none of that name.
        ConfigError: its spec cannot be read.
        CorruptWeights: the weights are missing, damaged, or not those the spec names.
    """
    place, spec = find(name, folder)
    path = place / spec.weights_file
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorruptWeights(
            str(path), f"the weights cannot be read ({error.strerror})", "install streamguard again or train"
        ) from error
    found = hashlib.sha256(data).hexdigest()
    if found != spec.weights_sha256:
        raise CorruptWeights(
            str(path),
            f"the weights' SHA-256 is {found[:12]}..., the spec names {spec.weights_sha256[:12] or 'none'}...",
            "restore both files from the same release",
        )
    try:
        weights = {key: value.astype(np.float32) for key, value in load_arrays(data).items()}
    except safetensors.SafetensorError as error:
        cause = "they are no weights in the form of safetensors"
        raise CorruptWeights(str(path), cause, "restore both files from the same release") from error
    if not all(bool(np.isfinite(value).all()) for value in weights.values()):
        raise CorruptWeights(
            str(path), "some of the weights are not finite numbers", "train again at a lower learning rate"
        )
    return LoadedModel(spec, weights=weights)

"""Interface of engines: uint8 crops in, uint8 fake probability out, on one device."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamguard.errors import EngineFailed, StreamguardError
from streamguard.models import LoadedModel
from streamguard.types import UInt8Array

Precision: TypeAlias = Literal["float32", "bfloat16", "float16", "int8"]
BoolArray: TypeAlias = NDArray[np.bool_]
MAX_BATCH = 16


class Engine(Protocol):
    """A model made ready for one device.

    `infer` and `close` are called from one thread at a time, and `infer` always from the same one: engines keep
    buffers and, on a GPU, a stream between calls. `Batcher` gives each engine such a thread. One whose `infer` does not
    return is left alone with it, and not closed before.
    """

    @property
    def name(self) -> str:
        """Registered name, for example `openvino`."""
        ...

    @property
    def precision(self) -> str:
        """Number format that the network is computed in: `float32`, `bfloat16`, `float16` or `int8`."""
        ...

    @property
    def device(self) -> str:
        """The processor's name."""
        ...

    @property
    def max_batch(self) -> int:
        """The largest N that `infer` takes."""
        ...

    def describe(self) -> str:
        """One line for people: library version, precision, device, batch."""
        ...

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops.

        Args:
            crops: uint8 [N, 256, 256, 3] RGB, N from 1 to `max_batch`.

        Returns:
            uint8 [N, 256, 256], 0..255 for a fake probability of 0..1, rounded. The array belongs to the caller.

        Raises:
            EngineFailed: anything went wrong, a wrong shape and a probability that is not a number included.
        """
        ...

    def close(self) -> None:
        """Free the device's memory. Calling it again does nothing; `infer` raises EngineFailed afterwards."""
        ...


@dataclass(frozen=True, slots=True)
class CalibrationSet:
    """Real crops for an engine that computes in eight bits.

    Attributes:
        crops: uint8 [N, size, size, 3] RGB; the ranges of the activations are taken from them.
        held: uint8 [M, size, size, 3] RGB; other crops, on which the engine is verified.
        fake: bool [M], which of the held ones are fake; None where nobody knows.
        source: where they come from, for the manifest.
    """

    crops: UInt8Array
    held: UInt8Array
    fake: BoolArray | None
    source: str

    def digest(self) -> str:
        """12 hex digits that name the crops that were calibrated on."""
        return hashlib.sha256(np.ascontiguousarray(self.crops).data).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options for building an engine.

    Attributes:
        max_batch: the largest batch, at least 1.
        threads: CPU threads that may compute; None lets the library take what the process may use.
        precision: `float32`, `bfloat16`, `float16` or `int8`; None takes the fastest float that the device computes
            natively. `int8` is compiled from calibration crops only.
        calibration: what to quantise on, where int8 is to be compiled.
    """

    max_batch: int = MAX_BATCH
    threads: int | None = None
    precision: Precision | None = None
    calibration: CalibrationSet | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.max_batch < 1 or (self.threads is not None and self.threads < 1):
            raise ValueError("max_batch and threads are at least 1")


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether an engine can be used here.

    Attributes:
        name: the engine.
        available: its library and its device are here.
        reason: what was found, or what is missing.
        automatic: it may be taken without being asked for by name.
    """

    name: str
    available: bool
    reason: str
    automatic: bool = True


class EngineFactory(Protocol):
    """Factory named by an entry point of the group `streamguard.engines`: a class, called without arguments."""

    @property
    def name(self) -> str:
        """The engine's name, the same as its entry point's."""
        ...

    @property
    def rank(self) -> int:
        """Higher is tried first; built in: tensorrt 40, inductor 30, openvino 20, torch 10."""
        ...

    @property
    def compiled(self) -> bool:
        """Return whether `compile` writes files worth keeping."""
        ...

    def probe(self) -> Probe:
        """Return whether it can be used here; cheap, and raises nothing."""
        ...

    def traits(self, options: EngineOptions) -> dict[str, str]:
        """Everything files and answers depend on besides the model: `precision`, `device`, library versions.

        Raises:
            EngineUnavailable: the options ask for what this engine does not do here.
        """
        ...

    def compile(self, model: LoadedModel, options: EngineOptions, folder: Path) -> None:
        """Write files into the empty `folder`.

        Raises:
            EngineFailed: the network cannot be compiled.
        """
        ...

    def load(self, model: LoadedModel, options: EngineOptions, folder: Path) -> Engine:
        """The engine of the files in `folder`, which may be moved or removed afterwards.

        Raises:
            EngineFailed: it cannot be loaded.
        """
        ...


def check_crops(name: str, crops: UInt8Array, size: int, max_batch: int) -> UInt8Array:
    """The crops, contiguous and writable as the libraries want them; copied only if they are not.

    Raises:
        EngineFailed: they are not uint8 [1..max_batch, size, size, 3].
    """
    if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (size, size, 3):
        cause = f"crops are {crops.dtype} {list(crops.shape)}, not uint8 [N, {size}, {size}, 3]"
        raise EngineFailed(name, cause, "cut the crops to the size the model names")
    if not 1 <= len(crops) <= max_batch:
        raise EngineFailed(name, f"a batch of {len(crops)} crops, not 1 to {max_batch}", "split the batch")
    return np.require(crops, requirements=("C_CONTIGUOUS", "WRITEABLE"))


def to_bytes(name: str, probability: NDArray[np.float32]) -> UInt8Array:
    """Probability 0..1 -> uint8 0..255, rounded, in a new array.

    Raises:
        EngineFailed: a value is not finite: half precision overflowed, or the weights are damaged.
    """
    scaled = probability * np.float32(255)
    np.rint(scaled, out=scaled)
    # One sum finds every NaN and infinity without an array of flags.
    if not np.isfinite(scaled.sum(dtype=np.float64)):
        raise EngineFailed(name, "a probability is not finite", "use an engine of higher precision")
    return scaled.astype(np.uint8)


@contextmanager
def foreign_errors(name: str, doing: str) -> Iterator[None]:
    """Map whatever a compute library raises to EngineFailed; streamguard's own errors pass.

    Args:
        name: the engine's name.
        doing: what was tried, as in "judging 4 crops".
    """
    try:
        yield
    except StreamguardError:
        raise
    except Exception as error:
        lines = str(error).strip().splitlines()
        said = f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__
        raise EngineFailed(name, f"failed while {doing} ({said})", "see `streamguard doctor`") from error


def judged(engine: Engine, crops: UInt8Array) -> UInt8Array:
    """Return the engine's answer, checked; see `Engine.infer`.

    Raises:
        EngineFailed: it raised anything at all, or its answer is not of the crops' shape.
    """
    try:
        with foreign_errors(engine.name, f"judging {len(crops)} crops"):
            answer = engine.infer(crops)
    except EngineFailed:
        raise
    except StreamguardError as error:
        raise EngineFailed(engine.name, error.cause, error.remedy) from error
    except BaseException as error:
        # Passed on, it would end whoever answers everybody.
        cause = f"raised {type(error).__name__}"
        raise EngineFailed(engine.name, cause, "report it to the engine's author") from error
    if answer.dtype != np.uint8 or answer.shape != crops.shape[:3]:
        cause = f"answered {answer.dtype} {list(answer.shape)} to {len(crops)} crops"
        raise EngineFailed(engine.name, cause, "report it to the engine's author")
    return answer

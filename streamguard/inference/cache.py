"""Compiled engines on disk: one folder per model, engine and precision, with a manifest that says what it is for.

A folder is written under another name and renamed when it is complete, so that a reader finds all of it or nothing.
What does not fit this machine, these libraries or this model is compiled again and replaced.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from streamguard.errors import OutputError
from streamguard.files import write_text
from streamguard.inference.parity import Parity
from streamguard.models import ModelSpec

MANIFEST = "manifest.json"


class Manifest(BaseModel):
    """Record of what a compiled engine was made of and how it was verified.

    Attributes:
        schema_version: of this file.
        model, digest, weights_sha256: the detector.
        engine: the engine's name.
        traits: precision, device, library versions and whatever else the files depend on.
        parity: how it compared with the float32 reference on `traits["device"]`.
        files: name -> SHA-256 of each file beside the manifest.
        created: UTC.
        calibrated: where the crops came from that it was quantised on, how many, and their hash; empty for others.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: Literal[1] = 1
    model: str
    digest: str
    weights_sha256: str
    engine: str
    traits: dict[str, str]
    parity: Parity
    files: dict[str, str]
    created: datetime
    calibrated: str = ""

    @property
    def label(self) -> str:
        """Short name that carries a hash of model, engine, traits and files: what an event says it was judged by."""
        text = self.model_dump_json(exclude={"created", "parity"}).encode()
        return f"{self.engine}-{self.traits.get('precision', '')}-{hashlib.sha256(text).hexdigest()[:12]}"


class EngineCache:
    """A folder of compiled engines, shared by processes.

    Args:
        root: made when missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    def default(cls, spec: ModelSpec) -> EngineCache | None:
        """The first place that can be written: `cache` beside the weights, then the user's cache folder.

        None where neither can: engines are then compiled at each start.
        """
        places = [] if spec.folder is None else [spec.folder / "cache"]
        user = user_cache()
        if user is not None:
            places.append(user / "streamguard" / "engines")
        for place in places:
            try:
                place.mkdir(parents=True, exist_ok=True)
            except OSError:
                continue
            if os.access(place, os.W_OK | os.X_OK):
                return cls(place)
        return None

    def folder(self, model: str, engine: str, precision: str) -> Path:
        """Folder of that compiled engine, whether or not it is there."""
        return self.root / f"{model}-{engine}-{precision}"

    @contextmanager
    def locked(self, folder: Path) -> Iterator[None]:
        """Hold the folder against other threads and processes; waits for as long as another one compiles.

        Raises:
            OutputError: the cache cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            handle = (self.root / f".{folder.name}.lock").open("a")
        except OSError as error:
            raise _unwritable(self.root, error) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def find(self, folder: Path, spec: ModelSpec, engine: str, traits: dict[str, str]) -> Manifest | None:
        """The manifest of `folder` when it was made of just these and its files are whole; None otherwise."""
        manifest = read_manifest(folder)
        if manifest is None:
            return None
        made_of = (manifest.digest, manifest.weights_sha256, manifest.engine, manifest.traits)
        if made_of != (spec.digest, spec.weights_sha256, engine, traits):
            return None
        return manifest if _hashes(folder) == manifest.files else None

    @contextmanager
    def staging(self, folder: Path) -> Iterator[Path]:
        """An empty folder to compile into; removed afterwards unless `keep` took it. Call it under `locked`.

        Raises:
            OutputError: the cache cannot be written.
        """
        partial = self.root / f".{folder.name}.partial"
        # Whoever held the lock before and died has left it behind.
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir()
        except OSError as error:
            raise _unwritable(self.root, error) from error
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def keep(self, staged: Path, folder: Path, manifest: Manifest) -> None:
        """Write the manifest into `staged` and put it in the place of `folder`.

        Raises:
            OutputError: the cache cannot be written.
        """
        old = self.root / f".{folder.name}.old"
        try:
            write_text(staged / MANIFEST, manifest.model_dump_json(indent=2) + "\n")
            shutil.rmtree(old, ignore_errors=True)
            if folder.exists():
                os.replace(folder, old)
            os.replace(staged, folder)
            shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            raise _unwritable(self.root, error) from error


def user_cache() -> Path | None:
    """The user's cache folder (XDG Base Directory Specification); None without a home."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if Path(named).is_absolute():
        return Path(named)
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return None


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest in `folder`; None when there is none or it cannot be understood."""
    try:
        return Manifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def describe(
    folder: Path, spec: ModelSpec, engine: str, traits: dict[str, str], parity: Parity, calibrated: str = ""
) -> Manifest:
    """The manifest of the files in `folder`, made now."""
    return Manifest(
        model=spec.name,
        digest=spec.digest,
        weights_sha256=spec.weights_sha256,
        engine=engine,
        traits=traits,
        parity=parity,
        files=_hashes(folder),
        created=datetime.now(UTC),
        calibrated=calibrated,
    )


def _hashes(folder: Path) -> dict[str, str]:
    hashes = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != MANIFEST:
            with path.open("rb") as file:
                hashes[str(path.relative_to(folder))] = hashlib.file_digest(file, "sha256").hexdigest()
    return hashes


def _unwritable(root: Path, error: OSError) -> OutputError:
    cause = f"compiled engines cannot be kept here ({error.strerror})"
    return OutputError(str(root), cause, "free space, or set XDG_CACHE_HOME to a folder that can be written")

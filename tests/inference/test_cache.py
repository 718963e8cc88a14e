"""Compiled engines are kept whole, taken again only where they fit, and made by one process at a time."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from streamguard.errors import EngineFailed, OutputError, ParityError
from streamguard.inference import EngineCache, EngineOptions, ParityBar, Prepared, Probe, prepare
from streamguard.inference.cache import MANIFEST, read_manifest, user_cache
from streamguard.inference.torch_engine import TorchEngine
from streamguard.models import LoadedModel
from streamguard.types import UInt8Array
from tests.inference.conftest import small_model


class Inverted(TorchEngine):
    def infer(self, crops: UInt8Array) -> UInt8Array:
        return 255 - super().infer(crops)


class Copied(TorchEngine):
    """The reference under another name, so that it is verified."""


class Wrapper:
    """An engine that is no TorchEngine, and remembers being closed."""

    name, precision, device, max_batch = "plain", "float32", "here", 4

    def __init__(self, inner: TorchEngine) -> None:
        self.inner = inner
        self.closed = False

    def describe(self) -> str:
        return "plain"

    def infer(self, crops: UInt8Array) -> UInt8Array:
        return self.inner.infer(crops)

    def close(self) -> None:
        self.closed = True


@dataclass
class Factory:
    """Writes one file and counts what is asked of it."""

    name: str = "plain"
    rank: int = 5
    compiled: bool = True
    version: str = "1"
    kind: type[TorchEngine] = Copied
    compiles: int = 0
    unloadable: int = 0
    made: list[Wrapper] = field(default_factory=list)
    during: object = None

    def probe(self) -> Probe:
        return Probe(self.name, True, "always")

    def traits(self, options: EngineOptions) -> dict[str, str]:
        return {"precision": "float32", "device": "here", "library": self.version}

    def compile(self, model: LoadedModel, options: EngineOptions, folder: Path) -> None:
        self.compiles += 1
        assert not list(folder.iterdir())
        (folder / "part").mkdir()
        (folder / "part" / "model.bin").write_bytes(b"weights")
        if callable(self.during):
            self.during()

    def load(self, model: LoadedModel, options: EngineOptions, folder: Path) -> Wrapper:
        assert (folder / "part" / "model.bin").read_bytes() == b"weights"
        self.unloadable -= 1
        if self.unloadable >= 0:
            raise RuntimeError("the driver is another one")
        self.made.append(Wrapper(self.kind(model, EngineOptions(max_batch=4))))
        return self.made[-1]


@pytest.fixture
def cache(tmp_path: Path) -> EngineCache:
    return EngineCache(tmp_path / "cache")


def ready(factory: Factory, model: LoadedModel, cache: EngineCache, **more: object) -> Prepared:
    return prepare(factory, model, cache=cache, **more)  # type: ignore[arg-type]  # keyword arguments passed on


def test_the_second_time_it_is_there(model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory()
    first = ready(factory, model, cache)
    second = ready(factory, model, cache)
    assert (first.compiled_now, second.compiled_now, factory.compiles) == (True, False, 1)
    assert first.manifest == second.manifest
    assert first.manifest.label.startswith("plain-float32-")
    assert first.manifest.files == {"part/model.bin": first.manifest.files["part/model.bin"]}
    assert first.manifest.parity.mask_iou == 1
    assert first.manifest.created.utcoffset() is not None
    assert sorted(path.name for path in cache.root.iterdir() if not path.name.endswith(".lock")) == [
        "small-plain-float32"
    ]


def test_force_compiles_again(model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory()
    ready(factory, model, cache)
    assert ready(factory, model, cache, force=True).compiled_now


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 2}', "\xff"])
def test_a_corrupt_manifest_is_compiled_over(text: str, model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory()
    folder = ready(factory, model, cache).folder
    assert folder is not None
    (folder / MANIFEST).write_text(text, encoding="latin-1")
    assert read_manifest(folder) is None
    assert ready(factory, model, cache).compiled_now
    assert read_manifest(folder) is not None


@pytest.mark.parametrize("damage", ["changed", "missing", "extra"])
def test_damaged_files_are_compiled_over(damage: str, model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory()
    folder = ready(factory, model, cache).folder
    assert folder is not None
    file = folder / "part" / "model.bin"
    if damage == "changed":
        file.write_bytes(b"weights!")
    elif damage == "missing":
        file.unlink()
    else:
        (folder / "other").touch()
    assert ready(factory, model, cache).compiled_now


def test_other_versions_weights_or_specs_are_compiled_over(model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory()
    ready(factory, model, cache)
    factory.version = "2"
    assert ready(factory, model, cache).compiled_now
    other = LoadedModel(replace(model.spec, weights_sha256="ab"), model.network)
    assert ready(factory, other, cache).compiled_now
    other = LoadedModel(replace(model.spec, digest="other"), model.network)
    assert ready(factory, other, cache).compiled_now
    assert not ready(factory, other, cache).compiled_now


def test_what_met_a_lower_bar_is_verified_again(model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory()
    ready(factory, model, cache)
    with pytest.raises(ParityError):
        ready(factory, model, cache, bar=ParityBar(iou=1.5))
    assert factory.compiles == 2


def test_the_refused_are_closed_and_not_kept(model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory(kind=Inverted)
    with pytest.raises(ParityError, match="disagrees"):
        ready(factory, model, cache)
    assert [path.name for path in cache.root.iterdir()] == [".small-plain-float32.lock"]
    assert all(engine.closed for engine in factory.made)


def test_a_failed_compilation_leaves_the_old_one(model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory()
    folder = ready(factory, model, cache).folder
    assert folder is not None
    before = read_manifest(folder)

    def fail() -> None:
        raise MemoryError

    factory.during = fail
    with pytest.raises(EngineFailed, match="failed while compiling"):
        ready(factory, model, cache, force=True)
    assert read_manifest(folder) == before
    factory.during = None
    assert not ready(factory, model, cache).compiled_now


def test_whole_files_that_do_not_load_are_compiled_over(model: LoadedModel, cache: EngineCache) -> None:
    factory = Factory()
    ready(factory, model, cache)
    factory.unloadable = 1
    assert ready(factory, model, cache).compiled_now


def test_what_a_killed_process_left_is_swept(model: LoadedModel, cache: EngineCache) -> None:
    for left in ("partial", "old"):
        (cache.root / f".small-plain-float32.{left}").mkdir(parents=True)
        (cache.root / f".small-plain-float32.{left}" / "junk").touch()
    assert ready(Factory(), model, cache).compiled_now
    assert sorted(path.name for path in cache.root.iterdir()) == [
        ".small-plain-float32.lock",
        "small-plain-float32",
    ]


def test_two_at_once_compile_once(cache: EngineCache) -> None:
    inside, go = threading.Event(), threading.Event()

    def hold() -> None:
        inside.set()
        assert go.wait(30)

    factory, results = Factory(during=hold), []
    threads = [
        threading.Thread(target=lambda: results.append(ready(factory, small_model(), cache).compiled_now))
        for _ in range(2)
    ]
    threads[0].start()
    assert inside.wait(30)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == [False, True]
    assert factory.compiles == 1


def test_a_place_that_cannot_be_written(model: LoadedModel, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be kept"):
        ready(Factory(), model, EngineCache(tmp_path / "file" / "cache"))


def test_where_nothing_can_be_written_it_works_all_the_same(
    model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    prepared = prepare(Factory(), model)
    assert prepared.folder is None
    assert prepared.manifest.parity.crops == 12


def test_default_places(model: LoadedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    found = EngineCache.default(model.spec)
    assert found is not None
    assert found.root == tmp_path / "user" / "streamguard" / "engines"
    beside = EngineCache.default(replace(model.spec, folder=tmp_path))
    assert beside is not None
    assert beside.root == tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache() == tmp_path / "home" / ".cache"

"""`streamguard compile` and `streamguard doctor`."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from streamguard.cli.compile import compile_
from streamguard.cli.doctor import doctor
from streamguard.errors import EngineUnavailable, UnknownEngine, UnknownModel
from streamguard.models import LoadedModel, networks


@pytest.fixture
def shipped(tmp_path: Path, model: LoadedModel, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of detectors with one good model, in the place of the shipped ones."""
    folder = tmp_path / "engines"
    networks.save(model, folder / "small")
    monkeypatch.setattr("streamguard.models.store.engines_folder", lambda: folder)
    monkeypatch.setattr("streamguard.models.engines_folder", lambda: folder)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def test_compile_then_doctor(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    doctor()
    assert "not compiled yet" in capsys.readouterr().out
    compile_(model=["small"], engine="openvino", max_batch=4, force=False)
    table = capsys.readouterr().out
    assert "compiled" in table
    assert "100% of 12" in table
    assert (shipped / "small" / "cache").is_dir()
    compile_(model=None, engine=None, max_batch=4, force=False)
    assert "was there" in capsys.readouterr().out
    doctor()
    report = capsys.readouterr().out
    for part in ("weights match", "chosen, the best one available", "verified and ready", "CPU", "openvino"):
        assert part in report


def test_compile_the_reference(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compile_(model=["small"], engine="torch", max_batch=4, force=False)
    assert "nothing to keep" in capsys.readouterr().out


def test_compile_names_what_is_wrong(shipped: Path) -> None:
    with pytest.raises(UnknownModel):
        compile_(model=["nothing"], engine=None, max_batch=4, force=False)
    with pytest.raises(UnknownEngine):
        compile_(model=["small"], engine="nothing", max_batch=4, force=False)


def test_compile_refuses_after_the_table(
    shipped: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("streamguard.inference.openvino_engine.capabilities", lambda: ("FP32",))

    def refuse(*_: object) -> str:
        raise EngineUnavailable("openvino", "not today")

    monkeypatch.setattr("streamguard.inference.openvino_engine.OpenVinoFactory.traits", refuse)
    with pytest.raises(EngineUnavailable, match="not today"):
        compile_(model=["small"], engine="openvino", max_batch=4, force=False)
    assert "not today" in capsys.readouterr().out


def test_doctor_shows_damage_and_fails(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shipped / "small" / "weights.safetensors").write_bytes(b"damaged")
    with pytest.raises(typer.Exit) as caught:
        doctor()
    assert caught.value.exit_code == 1
    assert "SHA-256" in capsys.readouterr().out


def test_doctor_without_detectors(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (shipped / "small" / "spec.toml").unlink()
    with pytest.raises(typer.Exit):
        doctor()
    assert "nothing in" in capsys.readouterr().out

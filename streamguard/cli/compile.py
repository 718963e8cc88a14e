"""`streamguard compile`: make the engines of this machine ready before they are needed, and show that they agree."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamguard.cli.calibration import read_calibration
from streamguard.errors import EngineError, EngineUnavailable

if TYPE_CHECKING:
    from streamguard import inference


def compile_(
    model: Annotated[
        list[str] | None, typer.Option(help="A detector, by name or folder; may be repeated. All by default.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option(help="An engine. By default every compiled one that can be used here.")
    ] = None,
    max_batch: Annotated[int, typer.Option(min=1, max=256, help="Largest batch.")] = 16,
    precision: Annotated[
        str | None, typer.Option(help="`float32`, `bfloat16`, `float16` or `int8`; default: the fastest float here.")
    ] = None,
    calibrate: Annotated[
        Path | None, typer.Option(help="For int8: folder of faces, pictures or videos, or a training pack.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compile again what is compiled already.")] = False,
) -> None:
    """Compile detectors for this machine, verify them against the float32 reference, and keep them.

    Leaves with 6, after the table, when an engine was refused or cannot be used here.
    """
    from streamguard import inference, models

    console = Console()
    wanted = precision_of(precision)
    if calibrate is not None and wanted != "int8":
        raise typer.BadParameter("only int8 is calibrated: give --precision int8", param_hint="--calibrate")
    loaded = [models.load(name) for name in model or models.available()]
    options = inference.EngineOptions(max_batch=max_batch, precision=wanted)
    table = Table(
        "model", "engine", "precision", "mask IoU", "verdicts", "p99.9 error", "largest", "AUC lost", "result"
    )
    refusal: EngineError | None = None
    # Eight bits are OpenVINO's alone.
    for factory in _wanted(engine or ("openvino" if wanted == "int8" else None)):
        for one in loaded:
            try:
                with console.status(f"{factory.name}: {one.spec.name}"):
                    if calibrate is not None:
                        options = replace(options, calibration=read_calibration(calibrate, one.spec))
                    crops = inference.parity_crops(one.spec.size)
                    again = force or calibrate is not None
                    prepared = inference.prepare(factory, one, options, crops=crops, force=again)
            except EngineError as error:
                refusal = error
                table.add_row(one.spec.name, factory.name, *[""] * 6, f"[red]{escape(error.cause)}")
                continue
            prepared.engine.close()
            parity = prepared.manifest.parity
            table.add_row(
                one.spec.name,
                factory.name,
                prepared.engine.precision,
                f"{parity.mask_iou:.4f}",
                f"{parity.verdict_agreement:.0%} of {parity.crops}",
                f"{parity.p999_error:.4f}",
                f"{parity.max_error:.4f}",
                "" if parity.auc_drop is None else f"{parity.auc_drop:+.4f}",
                _result(prepared),
            )
    console.print(table)
    if refusal is not None:
        raise refusal


def precision_of(name: str | None) -> inference.Precision | None:
    """The precision of that name; None for None.

    Raises:
        EngineUnavailable: there is none.
    """
    from streamguard.inference import Precision

    known = get_args(Precision)
    if name is not None and name not in known:
        raise EngineUnavailable(f"--precision {name}", "there is no such precision", f"choose of {', '.join(known)}")
    return cast("inference.Precision | None", name)


def _wanted(engine: str | None) -> list[inference.EngineFactory]:
    from streamguard import inference

    if engine is not None:
        factory = inference.find_factory(engine)
        probe = factory.probe()
        if not probe.available:
            raise EngineUnavailable(engine, probe.reason, "see `streamguard doctor` for the engines that work here")
        return [factory]
    wanted = []
    for factory in inference.factories().values():
        probe = factory.probe()
        if factory.compiled and probe.available and probe.automatic:
            wanted.append(factory)
    if not wanted:
        raise EngineUnavailable("compile", "no engine that compiles can be used here", "see `streamguard doctor`")
    return wanted


def _result(prepared: inference.Prepared) -> str:
    if prepared.folder is None:
        return "verified, nothing to keep" if prepared.manifest.files == {} else "verified, could not be kept"
    word = "compiled" if prepared.compiled_now else "was there"
    return f"[green]{word}[/] {escape(str(prepared.folder))}"

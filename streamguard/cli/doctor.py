"""`streamguard doctor`: what this machine has, and what streamguard would use of it. Compiles and sends nothing."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from streamguard.errors import StreamguardError

if TYPE_CHECKING:
    from streamguard import inference, models

LIBRARIES = (
    "streamguard",
    "torch",
    "torch-tensorrt",
    "openvino",
    "nncf",
    "numpy",
    "opencv-python",
    "av",
    "aiortc",
    "aiohttp",
)


def doctor() -> None:
    """Show Python, processors, libraries, detectors, engines and cameras; exits with 1 when no face can be judged."""
    console = Console()
    console.print(_machine())
    table, loaded = _detectors()
    console.print(table)
    table, chosen = _engines()
    console.print(table)
    if loaded and chosen is not None and chosen.compiled:
        kept = _table(f"compiled for {chosen.name}")
        for spec in loaded:
            kept.add_row(spec.name, escape(_compiled(chosen, spec)))
            if words := _eight_bits(chosen, spec):
                kept.add_row(f"{spec.name}, int8", escape(words))
        console.print(kept)
    console.print(_cameras())
    if not loaded or chosen is None:
        raise typer.Exit(1)


def _machine() -> Table:
    from streamguard.inference import hardware

    table = _table("machine")
    table.add_row("Python", f"{platform.python_version()} on {platform.platform()}")
    table.add_row("CPU", f"{escape(hardware.cpu_name())}, {len(os.sched_getaffinity(0))} threads for this process")
    table.add_row("GPU", escape(hardware.cuda_name() or "none that CUDA can use"))
    for name in LIBRARIES:
        table.add_row(name, _version(name))
    return table


def _detectors() -> tuple[Table, list[models.ModelSpec]]:
    from streamguard import models

    table = _table("detectors")
    loaded = []
    for name in models.available():
        try:
            spec = models.load(name).spec
        except StreamguardError as error:
            table.add_row(name, f"[red]{escape(str(error))}")
        else:
            loaded.append(spec)
            table.add_row(name, f"[green]weights match[/], digest {spec.digest}. {escape(spec.description)}")
    if not table.row_count:
        table.add_row("none", f"[red]nothing in {escape(str(models.engines_folder()))}")
    return table, loaded


def _engines() -> tuple[Table, inference.EngineFactory | None]:
    from streamguard import inference

    table = _table("engines, best first")
    chosen = None
    for factory in inference.factories().values():
        probe = factory.probe()
        verdict = "[yellow]only when named[/]" if probe.available else "[yellow]not available[/]"
        if probe.available and probe.automatic:
            verdict = "[green]available[/], not needed" if chosen else "[green]chosen[/], the best one available"
            chosen = chosen or factory
        table.add_row(factory.name, f"{verdict}: {escape(probe.reason)}")
    return table, chosen


def _cameras() -> Table:
    table = _table("cameras")
    for path in sorted(Path("/sys/class/video4linux").glob("video*")):
        table.add_row(f"/dev/{path.name}", escape(_first_line(path / "name")))
    if not table.row_count:
        table.add_row("none", "no /dev/video* device")
    return table


def _table(title: str) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def _compiled(factory: inference.EngineFactory, spec: models.ModelSpec) -> str:
    from streamguard.inference import EngineOptions
    from streamguard.inference.cache import EngineCache, read_manifest

    cache = EngineCache.default(spec)
    if cache is None:
        return "nowhere to keep it: compiled at each start (set XDG_CACHE_HOME)"
    traits = factory.traits(EngineOptions())
    folder = cache.folder(spec.name, factory.name, traits.get("precision", "any"))
    if cache.find(folder, spec, factory.name, traits) is not None:
        return f"verified and ready in {folder}"
    state = "made for another model, machine or library version" if read_manifest(folder) else "not compiled yet"
    return f"{state}: `streamguard compile` does it, or the first start"


def _eight_bits(factory: inference.EngineFactory, spec: models.ModelSpec) -> str:
    """Return the row about the engine in int8; nothing where none was compiled."""
    from streamguard.inference import INT8_BAR, EngineOptions
    from streamguard.inference.cache import EngineCache, read_manifest

    cache = EngineCache.default(spec)
    folder = None if cache is None else cache.folder(spec.name, factory.name, "int8")
    manifest = None if folder is None else read_manifest(folder)
    if cache is None or folder is None or manifest is None:
        return ""
    fits = cache.find(folder, spec, factory.name, factory.traits(EngineOptions(precision="int8"))) is not None
    if not fits or manifest.parity.shortfalls(INT8_BAR):
        return "made for another model, machine or library version: not used"
    return f"preferred; verified on {manifest.parity.crops} crops, calibrated on {manifest.calibrated}"


def _first_line(path: Path) -> str:
    try:
        return path.read_text().splitlines()[0]
    except (OSError, IndexError):
        return ""

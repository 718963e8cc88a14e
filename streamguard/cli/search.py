"""`streamguard search`: which choices of a training matter, found by many short ones."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from streamguard.cli.runner import console, notes

if TYPE_CHECKING:
    import optuna

    from streamguard.training.config import TrainConfig
    from streamguard.training.search import Space, Standing

SHOWN = 10
_NEEDED = ("optuna", "plotly", "sklearn")


def search(
    config: Annotated[Path, typer.Argument(help="Training TOML that the rest is taken from.")],
    packs: Annotated[Path, typer.Option(help="Folder of packs, as `train --prepare-only` makes (WORK/packs).")],
    out: Annotated[Path, typer.Option(help="The study's folder; a second call goes on where it stands.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier calls included.")] = 20,
    seconds: Annotated[float | None, typer.Option(min=1.0, help="Seconds of training of a full trial.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of a full trial; of both the tighter.")] = None,
    sampler: Annotated[str, typer.Option(help="`random` or `tpe`.")] = "tpe",
    objective: Annotated[
        str, typer.Option(help="`calibration`: held-out self-blends; `validation`: those and the validation pairs.")
    ] = "calibration",
    vary: Annotated[list[str] | None, typer.Option(help="A dimension; may be repeated. All by default.")] = None,
    network: Annotated[list[str] | None, typer.Option(help="Networks to choose from; default: the TOML's.")] = None,
    triples: Annotated[int, typer.Option(min=2, help="Held-out (real, fake) crops that a trial is judged on.")] = 100,
    prune: Annotated[bool, typer.Option("--prune", help="End trials early that are worse than the median.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Trials at a time, each on its share of the threads.")] = 1,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of all of them; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the sampler.")] = 1,
    device: Annotated[str, typer.Option(help="`cpu` or `cuda`.")] = "cpu",
) -> None:
    """Search over data, batch size, length, weight decay, schedule, picture loss and network. Resumable."""
    from streamguard.errors import ConfigError, DataError

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError("search", f"not installed: {', '.join(missing)}", "pip install 'streamguard[train]'")
    import torch

    from streamguard.training.config import read_config
    from streamguard.training.search import Budget, Plan
    from streamguard.training.search import search as run_search
    from streamguard.training.search.report import write_facts, write_page

    if device not in {"cpu", "cuda"} or (device == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(f"--device {device}", "there is no such device here", "use `cpu`")
    plan = Plan(
        space=_space(read_config(config), packs, vary, network),
        packs=packs,
        out=out,
        trials=trials,
        budget=Budget(seconds, steps),
        sampler=sampler,
        objective=objective,
        triples=triples,
        prune=prune,
        seed=seed,
        workers=workers,
        threads=threads or None,
        device=device,
    )
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    note = TextColumn("{task.fields[note]}")
    with Progress(TextColumn("{task.description}"), *columns, note, console=notes) as progress:
        task = progress.add_task("trials", total=trials, note="")

        def advance(study: optuna.Study, reached: Standing) -> None:
            best = "" if reached.best is None else f"best AUC {reached.best:.3f}"
            failed = f"  [red]{reached.failed} failed[/]" if reached.failed else ""
            progress.update(task, completed=min(reached.done, trials), note=best + failed)
            write_facts(study, out)

        found = run_search(plan, advance)
    write_page(found.study, out)
    if not found.new:
        notes.print(f"nothing to do: {trials} trials or more are done; raise --trials to go on")
    _report(found.study, out)
    if all_failed := _all_failed(found.study):
        raise DataError(str(out), f"every trial failed, the last one: {all_failed}", "see search.json")


def _space(config: TrainConfig, packs: Path, vary: list[str] | None, networks: list[str] | None) -> Space:
    from streamguard.models import fresh
    from streamguard.training.sampler import open_packs
    from streamguard.training.search import DIMENSIONS, Space

    names = tuple(dict.fromkeys(networks or [config.network]))
    for name in names:
        fresh(name)
    space = Space(config, names, tuple(dict.fromkeys(vary or DIMENSIONS)))
    opened = open_packs(packs)
    sources = {"pairs": opened.pairs, "self-blends": opened.selfblend}
    return replace(space, sources=frozenset(name for name, pack in sources.items() if pack is not None))


def _all_failed(study: optuna.Study) -> str:
    """The last failure's reason, when no trial was anything else."""
    from streamguard.training.search.study import FAILURE, counts

    over = [trial for trial in study.trials if counts(trial)]
    reasons = [str(trial.user_attrs[FAILURE]) for trial in over if FAILURE in trial.user_attrs]
    return reasons[-1] if reasons and len(reasons) == len(over) else ""


def _report(study: optuna.Study, out: Path) -> None:
    from streamguard.training.search import DIMENSIONS, LEFT_OUT
    from streamguard.training.search.report import importances, ranked, shown
    from streamguard.training.search.study import FAILURE

    best = ranked(study)
    names = [name for name in DIMENSIONS if any(name in trial.params for trial in best)]
    table = Table(title=f"{study.study_name}: best of {len(best)} complete trials", title_justify="left")
    for name in ("trial", "frame AUC", *names, "steps"):
        table.add_column(name, justify="left" if name in {"data", "network", "schedule"} else "right")
    for trial in best[:SHOWN]:
        choices = [shown(trial.params.get(name)) for name in names]
        table.add_row(str(trial.number), f"{trial.value:.3f}", *choices, shown(trial.user_attrs.get("steps")))
    console.print(table)
    if shares := importances(study):
        told = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
        console.print(f"share of the variance: {told}", highlight=False)
    for trial in study.trials:
        if FAILURE in trial.user_attrs:
            console.print(f"trial {trial.number} failed: {escape(trial.user_attrs[FAILURE])}", soft_wrap=True)
    left_out = "; ".join(f"{name} ({why})" for name, why in LEFT_OUT.items())
    console.print(f"not varied: {left_out}", soft_wrap=True, highlight=False)
    console.print(f"written: {escape(str(out / 'search.html'))}, search.json", soft_wrap=True, highlight=False)

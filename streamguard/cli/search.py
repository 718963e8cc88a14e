"""`streamguard search`: which choices of a training matter, found by many short ones."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from streamguard.cli.progress import NOTE, counted_progress
from streamguard.cli.runner import check_device, console, notes

if TYPE_CHECKING:
    import optuna

    from streamguard.training.search import Standing

SHOWN = 10
_NEEDED = ("optuna", "plotly", "sklearn")


def search(
    recipe: Annotated[Path, typer.Argument(help="Recipe TOML that the rest is taken from.")],
    out: Annotated[Path, typer.Option(help="The study's folder; a second call goes on where it stands.")],
    packs: Annotated[Path, typer.Option(help="Folder of packs, as `streamguard pack` makes it.")] = Path("runs/packs"),
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier calls included.")] = 20,
    steps: Annotated[int, typer.Option(min=1, help="Steps of each trial, over all stages of the recipe.")] = 300,
    sets: Annotated[
        str, typer.Option(help="Comma-separated held-out sets, over which the objective is the mean; default: all.")
    ] = "",
    faces: Annotated[
        int, typer.Option(min=2, help="Held-out examples of each set and program that a trial is measured on.")
    ] = 60,
    sampler: Annotated[str, typer.Option(help="`random` or `tpe`.")] = "tpe",
    vary: Annotated[
        list[str] | None, typer.Option(help="A dimension, such as `shares`; may be repeated. All by default.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="End trials early that are worse than the median.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Trials at a time, each on its share of the threads.")] = 1,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads of all of them; 0: all.")] = 0,
    seed: Annotated[int, typer.Option(help="Of the sampler.")] = 1,
    device: Annotated[str, typer.Option(help="`cpu` or `cuda`.")] = "cpu",
) -> None:
    """Search over learning rate, batch size, shares of the sources, views, losses and start. Resumable."""
    from streamguard.errors import ConfigError, DataError

    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError("search", f"not installed: {', '.join(missing)}", "pip install 'streamguard[train]'")

    from streamguard.training.recipe import read_recipe
    from streamguard.training.search import SearchPlan, Space
    from streamguard.training.search import search as run_search
    from streamguard.training.search.report import write_facts, write_page

    check_device(device)
    plan = SearchPlan(
        space=Space(read_recipe(recipe), tuple(dict.fromkeys(vary or ()))),
        packs=packs,
        out=out,
        trials=trials,
        steps=steps,
        sets=tuple(sorted({name for name in sets.split(",") if name})),
        most=faces,
        sampler=sampler,
        prune=prune,
        seed=seed,
        workers=workers,
        threads=threads or None,
        device=device,
    )
    with counted_progress(NOTE) as progress:
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


def _all_failed(study: optuna.Study) -> str:
    """The last failure's reason, when no trial was anything else."""
    from streamguard.training.search.study import FAILURE, counts

    over = [trial for trial in study.trials if counts(trial)]
    reasons = [str(trial.user_attrs[FAILURE]) for trial in over if FAILURE in trial.user_attrs]
    return reasons[-1] if reasons and len(reasons) == len(over) else ""


def _report(study: optuna.Study, out: Path) -> None:
    from streamguard.training.search.report import importances, ranked, shown
    from streamguard.training.search.study import FAILURE

    best = ranked(study)
    table = Table("trial", "frame AUC", "choices", box=None, title_justify="left")
    table.title = f"{study.study_name}: best of {len(best)} complete trials"
    for trial in best[:SHOWN]:
        choices = ", ".join(f"{name} {shown(value)}" for name, value in trial.params.items())
        table.add_row(str(trial.number), f"{trial.value:.3f}", choices)
    console.print(table)
    if shares := importances(study):
        told = ", ".join(f"{name} {share:.2f}" for name, share in shares.items())
        console.print(f"share of the variance: {told}", highlight=False)
    for trial in study.trials:
        if FAILURE in trial.user_attrs:
            console.print(f"trial {trial.number} failed: {escape(trial.user_attrs[FAILURE])}", soft_wrap=True)
    console.print(f"written: {escape(str(out / 'search.html'))}, search.json", soft_wrap=True, highlight=False)

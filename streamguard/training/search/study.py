"""The study: its choices, its memory on disk, its trials."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from streamguard.errors import ConfigError, DataError, OutputError, StreamguardError, one_line
from streamguard.models.networks import fresh
from streamguard.training.pack import open_packs
from streamguard.training.search.space import Space, lengthened
from streamguard.training.search.trial import Pruned, Result, Task
from streamguard.training.search.workers import Look, workers

SAMPLERS = ("random", "tpe")
DATABASE = "study.db"
SQLITE = b"SQLite format 3\0"
STARTUP, LOOKS = 4, 3
"""Trials that a pruner only watches, and measurements of a trial, of which the last is its end."""
MADE_OF, INTERRUPTED, FAILURE = "made_of", "interrupted", "failure"


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """A whole search.

    Attributes:
        space: what is varied, and the recipe that the rest comes from.
        packs: folder of the packs.
        out: folder of the study.
        trials: how many there shall be in the end.
        steps: of each, over all stages of the recipe.
        sets: held-out sets over which the objective is the mean; empty: all.
        most: held-out examples of each set and program at the most.
        sampler: `random` or `tpe`; a study may go on under the other one.
        prune: end trials early that are worse than the median there.
        seed: of the sampler.
        workers: trials at a time.
        threads: CPU threads for all of them; None takes what the process may use.
        device: `cpu` or `cuda`.

    Raises:
        ConfigError: sampler or a count is none that there is.
    """

    space: Space
    packs: Path
    out: Path
    trials: int
    steps: int
    sets: tuple[str, ...] = ()
    most: int = 60
    sampler: str = "tpe"
    prune: bool = False
    seed: int = 1
    workers: int = 1
    threads: int | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise ConfigError(f"--sampler {self.sampler}", "there is no such one", f"choose {' or '.join(SAMPLERS)}")
        if min(self.trials, self.steps, self.most, self.workers) < 1:
            raise ConfigError("search", "trials, steps, faces and workers are at least 1", "give larger numbers")


@dataclass(frozen=True, slots=True)
class Standing:
    """Progress of a search.

    Attributes:
        done: trials that are over, in any way but an interruption.
        failed, pruned: how many of them ended so.
        best: the best objective; None before there is one.
    """

    done: int
    failed: int
    pruned: int
    best: float | None


@dataclass(frozen=True, slots=True)
class Searched:
    """A study that is open no more.

    Attributes:
        study: all trials, in memory.
        new: trials of this call.
    """

    study: optuna.Study
    new: int


def search(plan: SearchPlan, advance: Callable[[optuna.Study, Standing], None]) -> Searched:
    """Do what is missing of the plan's trials; `advance` hears of each one's end, and once before the first.

    A trial that fails is kept with its reason, counts, and the study goes on. One that was interrupted is done again.

    Raises:
        DataError: a pack is missing; the folder holds another study, a damaged one, or one that is being worked on.
        OutputError: the folder cannot be written.
        UnknownModel: the recipe's network is unknown.
    """
    made_of = _made_of(plan)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _locked(plan.out), _opened(plan, made_of) as study:
        _sweep(study)
        advance(study, standing(study))
        new = _run(study, plan, advance)
        return Searched(_copied(study), new)


def standing(study: optuna.Study) -> Standing:
    """Counts over the study's trials."""
    over = [trial for trial in study.get_trials(deepcopy=False) if counts(trial)]
    states = [trial.state for trial in over]
    values = [trial.value for trial in over if trial.state is TrialState.COMPLETE and trial.value is not None]
    failed, pruned = states.count(TrialState.FAIL), states.count(TrialState.PRUNED)
    return Standing(len(over), failed, pruned, max(values, default=None))


def counts(trial: FrozenTrial) -> bool:
    """Return whether a trial is over, and not by an interruption."""
    return trial.state.is_finished() and INTERRUPTED not in trial.user_attrs


def _run(study: optuna.Study, plan: SearchPlan, advance: Callable[[optuna.Study, Standing], None]) -> int:
    space, left = plan.space.distributions(), max(0, plan.trials - standing(study).done)
    new, running = left, dict[Future[Result], Trial]()
    with workers(min(plan.workers, max(1, left)), plan.threads) as pool:
        while left or running:
            while left and len(running) < pool.count:
                trial = study.ask(space)
                running[pool.submit(_task(plan, trial), _watch(plan, study, trial))] = trial
                left -= 1
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                _tell(study, running.pop(future), future)
                advance(study, standing(study))
    return new


def _task(plan: SearchPlan, trial: Trial) -> Task:
    recipe = lengthened(plan.space.recipe_of(trial.params), plan.steps, LOOKS if plan.prune else 1)
    return Task(recipe, plan.packs, plan.sets, plan.most, plan.out, plan.device)


def _tell(study: optuna.Study, trial: Trial, future: Future[Result]) -> None:
    error = future.exception()
    if error is None:
        result = future.result()
        trial.set_user_attr("sets", {name: round(value, 4) for name, value in result.sets.items()})
        trial.set_user_attr("seconds", round(result.seconds, 1))
        study.tell(trial, result.value)
    elif isinstance(error, Pruned):
        study.tell(trial, state=TrialState.PRUNED)
    else:
        named = str(error) if isinstance(error, StreamguardError) else f"{type(error).__name__}: {error}"
        trial.set_user_attr(FAILURE, one_line(named)[:500])
        study.tell(trial, state=TrialState.FAIL)


@dataclass(frozen=True, slots=True)
class _Pruner:
    """Reports a trial's worth and asks whether it is to end; made for another process."""

    database: Path
    study: str
    trial: int

    def __call__(self, number: int, worth: float) -> bool:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with _storage(self.database) as storage:
            trial = Trial(optuna.load_study(study_name=self.study, storage=storage, pruner=_pruner()), self.trial)
            trial.report(worth, number)
            return trial.should_prune()


def _watch(plan: SearchPlan, study: optuna.Study, trial: Trial) -> Look | None:
    return _Pruner(plan.out / DATABASE, study.study_name, trial._trial_id) if plan.prune else None


def _pruner() -> optuna.pruners.BasePruner:
    return optuna.pruners.MedianPruner(n_startup_trials=STARTUP)


@contextmanager
def _storage(database: Path) -> Iterator[optuna.storages.RDBStorage]:
    # Workers that report at the same moment wait for each other.
    url = f"sqlite:///{database.absolute()}"
    storage = optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}})
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _check_database(database: Path) -> None:
    with suppress(FileNotFoundError), database.open("rb") as file:
        if (start := file.read(len(SQLITE))) and start != SQLITE:
            raise ValueError("no SQLite database")


def _copied(study: optuna.Study) -> optuna.Study:
    """The same trials in memory, so that nothing holds the file any longer."""
    memory = optuna.storages.InMemoryStorage()
    optuna.copy_study(from_study_name=study.study_name, from_storage=study._storage, to_storage=memory)
    return optuna.load_study(study_name=study.study_name, storage=memory)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    try:
        out.mkdir(parents=True, exist_ok=True)
        handle = (out / ".lock").open("a")
    except OSError as error:
        raise OutputError(str(out), f"cannot be written ({error.strerror})", "choose another folder") from error
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(str(out), "another search is at work here", "wait for it, or give another --out") from error
        yield


@contextmanager
def _opened(plan: SearchPlan, made_of: dict[str, Any]) -> Iterator[optuna.Study]:
    thing, remedy = str(plan.out), "give another --out, or what the study was begun with"
    with ExitStack() as stack:
        try:
            _check_database(plan.out / DATABASE)
            storage = stack.enter_context(_storage(plan.out / DATABASE))
            names = optuna.get_all_study_names(storage) or [plan.space.recipe.name]
            made = optuna.create_study(
                storage=storage, study_name=names[0], direction="maximize", pruner=_pruner(), load_if_exists=True
            )
            if not made.trials and MADE_OF not in made.user_attrs:
                made.set_user_attr(MADE_OF, made_of)
        except Exception as error:
            # SQLite's, SQLAlchemy's, Alembic's or Optuna's own: to whoever gave the folder it is one thing.
            raise DataError(thing, f"no study can be read or made here ({type(error).__name__})", remedy) from error
        if difference := _difference(made.user_attrs.get(MADE_OF, {}), made_of):
            raise DataError(thing, f"the study was begun with another {difference}", remedy)
        # Going on, a sampler must not draw again what it drew first.
        seed = plan.seed + len(made.get_trials(deepcopy=False))
        tpe = plan.sampler == "tpe"
        made.sampler = optuna.samplers.TPESampler(seed=seed) if tpe else optuna.samplers.RandomSampler(seed=seed)
        yield made


def _sweep(study: optuna.Study) -> None:
    """Queue again what was running when the search was interrupted."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if trial.params:
            study.enqueue_trial(trial.params)
        Trial(study, trial._trial_id).set_user_attr(INTERRUPTED, True)
        study.tell(trial.number, state=TrialState.FAIL)


def _made_of(plan: SearchPlan) -> dict[str, Any]:
    """Settings that make the trials of a study comparable; plain values.

    Raises:
        DataError: a pack that is needed is missing, or the held-out ones cannot give the objective.
        UnknownModel: the network is unknown.
    """
    recipe = plan.space.recipe
    fresh(recipe.network)
    trained = {str(pack.set[0]): len(pack) for pack in open_packs(plan.packs / "train", recipe.sets)}
    held = {str(pack.set[0]): pack for pack in open_packs(plan.packs / "validation", plan.sets)}
    if missing := sorted((set(recipe.sets) - set(trained)) | (set(plan.sets) - set(held))):
        raise DataError(str(plan.packs), f"no pack of {', '.join(missing)}", "correct the sets, or pack them")
    for label in ("real", "fake"):
        if not any(np.any(getattr(pack, label) >= 0) for pack in held.values()):
            raise DataError(str(plan.packs / "validation"), f"no {label} face in the sets", "name further sets")
    made_of = {
        "recipe": recipe.model_dump(mode="json"),
        "varied": plan.space.described(),
        "steps": plan.steps,
        "faces": plan.most,
        "held_out": {name: len(pack) for name, pack in held.items()},
        "packs": trained,
    }
    made: dict[str, Any] = json.loads(json.dumps(made_of))
    return made


def _difference(mine: Any, yours: Any, path: str = "") -> str:
    """The first key in which the two differ; empty when they are equal."""
    if isinstance(mine, dict) and isinstance(yours, dict):
        for key in [*yours, *(key for key in mine if key not in yours)]:
            if found := _difference(mine.get(key), yours.get(key), f"{path}.{key}".lstrip(".")):
                return found
        return ""
    return "" if mine == yours else path

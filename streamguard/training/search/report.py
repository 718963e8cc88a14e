"""Report of a search: `search.json` and a page with its parallel-coordinates plot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import optuna
from markupsafe import Markup
from optuna.trial import FrozenTrial, TrialState

from streamguard import report
from streamguard.files import write_text
from streamguard.training.search.space import Value
from streamguard.training.search.study import FAILURE, INTERRUPTED, MADE_OF, counts, standing

SCHEMA = "streamguard.search/2"
BEST = 20
FEWEST = 4
"""Complete trials from which on importances are told: of fewer they are chance."""


def write_facts(study: optuna.Study, out: Path) -> None:
    """Write `search.json`: all trials, the counts, the importances.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(out / "search.json", json.dumps(facts(study), indent=2) + "\n")


def write_page(study: optuna.Study, out: Path) -> None:
    """Write `search.html`, which needs nothing beside it.

    Raises:
        OutputError: it cannot be written.
    """
    write_text(out / "search.html", page(study))


def ranked(study: optuna.Study) -> list[FrozenTrial]:
    """The complete trials, best first."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return sorted(complete, key=lambda trial: -(trial.value or 0.0))


def importances(study: optuna.Study) -> dict[str, float]:
    """Share of the objective's variance that each dimension explains (fANOVA: Hutter et al., 2014), largest first.

    Empty for a few trials, or where the objective never changed.
    """
    best = ranked(study)
    if len(best) < FEWEST or best[0].value == best[-1].value:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def facts(study: optuna.Study) -> dict[str, Any]:
    """The whole study as plain values."""
    reached = standing(study)
    best = ranked(study)
    return {
        "schema": SCHEMA,
        "name": study.study_name,
        "made_of": study.user_attrs.get(MADE_OF, {}),
        "done": reached.done,
        "failed": reached.failed,
        "pruned": reached.pruned,
        "best": best[0].number if best else None,
        "importances": {name: round(share, 4) for name, share in importances(study).items()},
        "trials": [_trial(trial) for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()],
    }


def shown(value: Value) -> str:
    """A choice in a few characters."""
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def _trial(trial: FrozenTrial) -> dict[str, Any]:
    interrupted = INTERRUPTED in trial.user_attrs
    return {
        "number": trial.number,
        "state": "interrupted" if interrupted else trial.state.name.lower(),
        "value": None if trial.value is None or trial.state is not TrialState.COMPLETE else round(trial.value, 4),
        "choices": trial.params,
        **{name: value for name, value in trial.user_attrs.items() if name != INTERRUPTED},
        "started": None if trial.datetime_start is None else trial.datetime_start.isoformat(timespec="seconds"),
    }


def page(study: optuna.Study) -> str:
    """The page as HTML."""
    reached, made_of = standing(study), study.user_attrs.get(MADE_OF, {})
    varied, held_out = made_of.get("varied", {}), list(made_of.get("held_out", {}))
    failed = [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)) if counts(trial)]
    return report.render_page(
        "search.html",
        title=f"Search {study.study_name}",
        heading=f"{study.study_name}: {reached.done} trials",
        facts=[
            ("objective", f"mean frame AUC on held-out {', '.join(held_out)}"),
            ("steps of a trial", str(made_of.get("steps", ""))),
            ("failed", str(reached.failed)),
            ("ended early", str(reached.pruned)),
        ],
        notice="Short trainings rank choices; they do not say how good a whole run will be. The held-out sets that "
        "chose are no test of what was chosen.",
        plot=_plot(study),
        importances=[((name, varied.get(name, "")), f"{share:.2f}") for name, share in importances(study).items()],
        fewest=FEWEST,
        heads=["trial", "frame AUC", *varied, *held_out, "seconds"],
        trials=[
            [
                str(trial.number),
                f"{trial.value:.3f}",
                *(shown(trial.params.get(name)) for name in varied),
                *(shown(trial.user_attrs.get("sets", {}).get(name)) for name in held_out),
                shown(trial.user_attrs.get("seconds")),
            ]
            for trial in ranked(study)[:BEST]
        ],
        failures=[
            f"trial {trial.number} ({', '.join(f'{name} {shown(value)}' for name, value in trial.params.items())}): "
            f"{trial.user_attrs.get(FAILURE, 'unknown')}"
            for trial in failed
        ],
    )


def _plot(study: optuna.Study) -> Markup:
    """The parallel-coordinates plot and its script; empty without a complete trial."""
    if not ranked(study):
        return Markup()
    figure = optuna.visualization.plot_parallel_coordinate(study, target_name="frame AUC")
    figure.update_layout(title=None, height=520, margin={"l": 70, "r": 40, "t": 50, "b": 70})
    return Markup(figure.to_html(full_html=False, include_plotlyjs="inline", div_id="parallel-coordinates"))

"""What a search found: `search.json` and a page with its parallel-coordinates plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from streamguard.files import write_text
from streamguard.training.evaluation.page import STYLE
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
    parts = [
        "<header><p class=eyebrow>streamguard search</p>",
        f"<h1>{escape(study.study_name)}: {reached.done} trials</h1><dl>",
        _fact("objective", f"mean frame AUC on held-out {', '.join(made_of.get('held_out', {}))}"),
        _fact("steps of a trial", str(made_of.get("steps", ""))),
        _fact("failed", str(reached.failed)),
        _fact("ended early", str(reached.pruned)),
        "</dl><p class=notice>Short trainings rank choices; they do not say how good a whole run will be. ",
        "The held-out sets that chose are no test of what was chosen.</p></header>",
        _plot(study),
        _importance_section(study),
        _table("Best trials", ranked(study)[:BEST], study),
        _failures(study),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Search {escape(study.study_name)}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _fact(name: str, value: str) -> str:
    return f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>"


def _plot(study: optuna.Study) -> str:
    if not ranked(study):
        return "<section><h2>All trials</h2><p>None is complete yet.</p></section>"
    figure = optuna.visualization.plot_parallel_coordinate(study, target_name="frame AUC")
    figure.update_layout(title=None, height=520, margin={"l": 70, "r": 40, "t": 50, "b": 70})
    drawn = figure.to_html(full_html=False, include_plotlyjs="inline", div_id="parallel-coordinates")
    hint = "One line a trial, the darker the better. Drag along an axis to keep a part of it."
    return f"<section><h2>All trials</h2><p class=small>{hint}</p><div class=scroll>{drawn}</div></section>"


def _importance_section(study: optuna.Study) -> str:
    found = importances(study)
    if not found:
        return f"<section><h2>What mattered</h2><p>Told from {FEWEST} complete trials on that differ.</p></section>"
    described = study.user_attrs.get(MADE_OF, {}).get("varied", {})
    rows = "".join(
        f"<tr><th>{escape(name)} <span class=small>{escape(described.get(name, ''))}</span></th>"
        f"<td>{share:.2f}</td></tr>"
        for name, share in found.items()
    )
    head = "<thead><tr><th>dimension</th><th>share of the variance</th></tr></thead>"
    return f"<section><h2>What mattered</h2><table>{head}<tbody>{rows}</tbody></table></section>"


def _table(title: str, trials: Sequence[FrozenTrial], study: optuna.Study) -> str:
    made_of = study.user_attrs.get(MADE_OF, {})
    names, sets = made_of.get("varied", {}), list(made_of.get("held_out", {}))
    head = "".join(f"<th>{escape(name)}</th>" for name in ("trial", "frame AUC", *names, *sets, "seconds"))
    rows = []
    for trial in trials:
        cells = [f"{trial.value:.3f}", *(shown(trial.params.get(name)) for name in names)]
        cells += [shown(trial.user_attrs.get("sets", {}).get(name)) for name in sets]
        cells.append(shown(trial.user_attrs.get("seconds")))
        rows.append(f"<tr><th>{trial.number}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>")
    body = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<section><h2>{escape(title)}</h2><div class=scroll>{body}</div></section>"


def _failures(study: optuna.Study) -> str:
    failed = [trial for trial in study.get_trials(deepcopy=False, states=(TrialState.FAIL,)) if counts(trial)]
    if not failed:
        return ""
    rows = "".join(
        f"<li>trial {trial.number} ({escape(', '.join(f'{k} {shown(v)}' for k, v in trial.params.items()))}): "
        f"{escape(str(trial.user_attrs.get(FAILURE, 'unknown')))}</li>"
        for trial in failed
    )
    return f"<section><h2>Failed</h2><ul>{rows}</ul></section>"

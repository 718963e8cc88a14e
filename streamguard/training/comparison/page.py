"""The comparison as one self-contained HTML page, and as JSON; every name from outside is escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any, get_args

import numpy as np

from streamguard.files import write_text
from streamguard.training.comparison.compare import AS_SHIPPED, BLUR, Row, as_document
from streamguard.training.comparison.crosssets import SETS
from streamguard.training.comparison.material import TrainedOn
from streamguard.training.comparison.tables import FIGURES, crops, weights
from streamguard.training.evaluation.markup import document, figure_cell, pictures, remark, section, table, two_lines
from streamguard.training.evaluation.pictures import Theme, legend, new_canvas, png
from streamguard.training.evaluation.wording import DISCLAIMER, number

SCHEMA = "streamguard.compare/1"
CURVES = 10
"""Loss curves drawn at most: more cannot be told apart."""


def write_json(rows: Sequence[Row], path: Path) -> None:
    """Write all rows with all figures.

    Raises:
        OutputError: the file cannot be written; an older one is left as it was.
    """
    content: dict[str, Any] = {"schema": SCHEMA, "notice": DISCLAIMER, "rows": [as_document(row) for row in rows]}
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def write_html(rows: Sequence[Row], path: Path) -> None:
    """Write the page.

    Raises:
        OutputError: the file cannot be written; an older one is left as it was.
    """
    write_text(path, render(rows))


def render(rows: Sequence[Row]) -> str:
    """The page as HTML text."""
    sections = [
        _head(rows),
        section("Trained on one set, tested on all", _cross(rows)),
        *(section(f"Tested on {title}", _set(rows, name)) for name, title in SETS.items()),
        section("Pictures", _pictures(rows)),
        section("Data and limits", _limits(rows)),
    ]
    return document("Comparison of detectors", sections)


def auc_picture(rows: Sequence[Row], name: str, theme: Theme) -> bytes | None:
    """Frame AUC with its interval, one line a row, on one set; None where no row has one."""
    known = [(row, row.sets[name].frames) for row in reversed(rows) if row.sets[name].frames.value is not None]
    if not known:
        return None
    canvas, axes = new_canvas(theme)
    canvas.set_size_inches(4.3, 1.0 + 0.27 * len(known))
    axes.axvline(0.5, color=theme.faint, linestyle="--", linewidth=1)
    for place, (row, each) in enumerate(known):
        trained = row.trained_on in get_args(TrainedOn)
        colour = theme.first if trained else theme.second
        if each.low is not None and each.high is not None:
            axes.plot([each.low, each.high], [place, place], color=colour, linewidth=1.5, alpha=0.6)
        axes.plot([each.value or 0.0], [place], "o" if trained else "D", color=colour, markersize=5)
    axes.set_yticks(range(len(known)), [row.name for row, _ in known], fontsize=8)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.6, len(known) - 0.4), xlabel="frame AUC")
    return png(canvas)


def loss_picture(rows: Sequence[Row], theme: Theme) -> bytes | None:
    """Training loss over the budget, each curve in units of its own start; None where nothing was trained."""
    trained = [row for row in rows if len(row.losses) > 1][:CURVES]
    if not trained:
        return None
    canvas, axes = new_canvas(theme)
    canvas.set_size_inches(8.0, 3.7)
    for number_, row in enumerate(trained):
        seen, losses = (np.array(each, dtype=np.float64) for each in zip(*row.losses, strict=True))
        window = max(1, len(losses) // 20)
        smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
        # Fixed colours of one qualitative map: they must be told apart on both pages.
        axes.plot(seen[window - 1 :] / seen[-1], smooth / smooth[0], color=f"C{number_}", linewidth=1.5, label=row.name)
    axes.set(xlim=(0, 1), xlabel="share of the budget", ylabel="training loss, its start = 1")
    legend(axes, theme, "best")
    return png(canvas)


def _head(rows: Sequence[Row]) -> str:
    settings = rows[0].settings
    budget = settings["budget"]
    given = f"{budget['seconds'] / 60:g} minutes" if budget["seconds"] else f"{budget['crops']} crops"
    facts = (
        ("Budget of each", given),
        ("Crops", f"{settings['side']} px, {2 * settings['pairs']} a step"),
        ("Rows", str(len(rows))),
    )
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return (
        "<header><p class=eyebrow>streamguard comparison</p><h1>Detectors trained alike, tested across sets</h1>"
        f"<dl>{items}</dl><p class=notice role=note>{escape(DISCLAIMER)}</p></header>"
    )


def _cross(rows: Sequence[Row]) -> str:
    cells = [
        [
            two_lines(row.detector, f"trained on {row.trained_on}" if row.crops else row.trained_on),
            weights(row),
            crops(row),
            *(figure_cell(row.sets[name].frames, terse=True) for name in SETS),
        ]
        for row in rows
    ]
    heads = ("Detector", "Weights", "Crops seen", *(f"AUC, {title}" for title in SETS.values()))
    note = remark("Frame AUC; 0.5 is chance. Small figures: 95 % intervals, clips resampled within their class.")
    return table(heads, cells, wide=True) + note


def _set(rows: Sequence[Row], name: str) -> str:
    named = any(row.sets[name].by_person for row in rows)
    heads = ["Detector", *(heading for heading, _ in FIGURES), *(["By person"] if named else [])]
    cells = []
    for row in rows:
        figures = row.sets[name]
        shown = [figure_cell(getattr(figures, key), terse=True) for _, key in FIGURES]
        if named:
            persons = ", ".join(f"{person} {number(value, 2)}" for person, value in figures.by_person.items())
            shown.append(f"<span class=small>{escape(persons)}</span>")
        cells.append([two_lines(row.detector, row.trained_on), *shown])
    note = remark(
        "Video AUC: each clip's real or fake half by its mean score. AUC within a person: mean over persons, each "
        "ranked among their own crops, intervals by persons. Accuracy: at a score of 0.5, where always the same answer "
        "reaches 0.500."
    )
    return table(heads, cells, wide=True) + note


def _pictures(rows: Sequence[Row]) -> str:
    def on(name: str) -> tuple[str, Any]:
        return f"Tested on {SETS[name]}", lambda theme: auc_picture(rows, name, theme)

    losses = pictures([("Training loss", lambda theme: loss_picture(rows, theme))])
    return pictures([on(name) for name in SETS]) + losses


def _limits(rows: Sequence[Row]) -> str:
    facts = [
        "All rows that were trained here started from random weights, and saw the same views of the same packs in the "
        "same order, each for the same budget: a network of few weights sees more crops in it than one of many. "
        "Published figures of these networks come from far longer training, often from ImageNet weights.",
        "Trained on pairs: face swaps and parts of them. On selfblends: a face blended with itself, of nobody who is "
        "in the pairs. On both: as the configuration says, other people's faces among it.",
        "Segmentation networks learn masks; their score is the mean of their map's highest sixteenth. Classifiers "
        "learn whether anything in the crop is fake.",
        f"{max(row.sets[name].crops for row in rows for name in SETS)} crops were judged of a set at most; nobody in "
        "the sets was trained on. Faces of the two sets of blends are the same persons.",
        "Intervals tell how the figures move with the choice of clips, and of few clips they tell little.",
    ]
    if any(row.trained_on == AS_SHIPPED for row in rows):
        facts.append(
            "As shipped: not trained here, and at another budget; its calibration was fitted on the set of "
            "self-blends, which its accuracy there profits from."
        )
    if any(row.detector == BLUR for row in rows):
        facts.append("Blur knows nothing: blurred means fake. What does not beat it has learned nothing else.")
    return f"<ul>{''.join(f'<li>{escape(fact)}</li>' for fact in facts)}</ul>"

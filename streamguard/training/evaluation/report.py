"""One self-contained HTML page, and the same figures as JSON.

The page loads nothing and runs nothing: styles are inline, pictures are data URIs, and its content policy
forbids the rest. Every name from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from html import escape
from pathlib import Path

from streamguard.files import write_text
from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.curves import AXES, errors_picture, robustness_picture
from streamguard.training.evaluation.markup import document, figure_cell, pictures, remark, section, table, two_lines
from streamguard.training.evaluation.page import sparkline
from streamguard.training.evaluation.pictures import Theme, histogram_picture, reliability_picture, roc_picture
from streamguard.training.evaluation.records import ClipRecord, Evaluation, to_json
from streamguard.training.evaluation.robustness import Condition
from streamguard.training.evaluation.sheets import Cell, Sheet, detail_sheets, sheets
from streamguard.training.evaluation.summary import Summary, clip_score, clip_verdict
from streamguard.training.evaluation.wording import DISCLAIMER, NONE, number, seconds


def write_json(evaluation: Evaluation, summary: Summary, path: Path, conditions: Sequence[Condition] = ()) -> None:
    """Writes the figures and the records behind them.

    Args:
        evaluation, summary: what was measured.
        path: the file.
        conditions: the robustness figures, if any were measured.

    Raises:
        OutputError: the file cannot be written; an older one is left as it was.
    """
    figures = summary.to_dict()
    if conditions:
        figures["robustness"] = [asdict(each) for each in conditions]
    write_text(path, to_json(evaluation, figures))


def write_html(evaluation: Evaluation, summary: Summary, path: Path, conditions: Sequence[Condition] = ()) -> None:
    """Writes the report page; arguments as `write_json`.

    Raises:
        OutputError: the file cannot be written; an older one is left as it was.
    """
    write_text(path, render(evaluation, summary, conditions))


def render(evaluation: Evaluation, summary: Summary, conditions: Sequence[Condition] = ()) -> str:
    """The report page as HTML text."""
    clips = evaluation.clips
    painters: list[tuple[str, Callable[[Theme], bytes | None]]] = [
        ("ROC of frames, by set", partial(roc_picture, clips)),
        ("Scores of real and fake frames", partial(histogram_picture, clips)),
        ("Do the scores come true?", partial(reliability_picture, clips)),
        *((title, partial(robustness_picture, conditions, axis)) for axis, title in AXES.items()),
        *(
            (f"Errors by {key.replace('_', ' ')}", partial(errors_picture, bins))
            for key, bins in summary.errors.items()
        ),
    ]
    return document(
        f"Evaluation of {evaluation.model}",
        [
            _head(evaluation),
            *map(_sheet, sheets(evaluation, summary, conditions)),
            section("Curves", pictures(painters) or "<p>Nothing was judged: nothing to draw.</p>"),
            *map(_sheet, detail_sheets(summary)),
            _clips([clip for clip in clips if not clip.still]),
            section("Data and limits", _limits(evaluation, summary)),
        ],
    )


def _sheet(sheet: Sheet) -> str:
    body = table(sheet.heads, [[_cell(cell) for cell in row] for row in sheet.rows], wide=True)
    return section(sheet.title, body + (remark(sheet.remark) if sheet.remark else ""))


def _cell(cell: Cell) -> str:
    if isinstance(cell, Figure):
        return figure_cell(cell, terse=True)
    return two_lines(*((cell, "") if isinstance(cell, str) else cell))


def _head(evaluation: Evaluation) -> str:
    clips = evaluation.clips
    counts = [
        (name, f"{len(own)} ({sum(clip.label for clip in own)} fake)")
        for name, still in (("Clips", False), ("Pictures", True))
        if (own := [clip for clip in clips if clip.still is still])
    ]
    facts = (
        ("Engine", evaluation.engine),
        ("Pixel threshold", f"{evaluation.threshold:g}"),
        ("Made", evaluation.created.strftime("%Y-%m-%d %H:%M %Z")),
        *counts,
        ("Groups", str(len({clip.group for clip in clips}))),
    )
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return (
        f"<header><p class=eyebrow>streamguard evaluation</p><h1>{escape(evaluation.model)}</h1>"
        f"<dl>{items}</dl><p class=notice role=note>{escape(DISCLAIMER)}</p></header>"
    )


def _clips(clips: Sequence[ClipRecord]) -> str:
    rows = []
    for clip in clips:
        verdict = clip_verdict(clip)
        said = "not judged" if verdict is None else _kind(verdict)
        state = "unknown" if verdict is None else "good" if verdict == clip.label else "bad"
        rate = NONE if clip.bit_rate is None else f"{clip.bit_rate / 1000:.0f} kbit/s"
        rows.append(
            [
                two_lines(clip.name, f"{clip.set}/{clip.program}"),
                _kind(clip.label),
                f"<span class={state}>{said}</span>",
                number(clip_score(clip)),
                sparkline(clip.frames),
                f"{len(clip.judged)}/{len(clip.frames)}",
                ", ".join(seconds(each) for each in clip.alerts) or "none",
                two_lines(f"{clip.width}\N{MULTIPLICATION SIGN}{clip.height}", f"{clip.codec}, {rate}"),
            ]
        )
    heads = ("Clip", "Truth", "Verdict", "Score", "Score over time", "Judged", "Alerts at", "Picture")
    line = remark("Score over time: 0 at the bottom, 1 at the top, the dashed line is 0.5; gaps were not judged.")
    return section("Clip by clip", table(heads, rows, wide=True) + line) if rows else ""


def _kind(label: bool) -> str:
    return "fake" if label else "real"


def _limits(evaluation: Evaluation, summary: Summary) -> str:
    facts = [
        f"Intervals: percentiles of {summary.n_boot} resamples of the groups. They tell how the figures move with the "
        "choice of people, not how the detector fares on other material. Where every resample agrees the interval "
        "shrinks to a point: that is a lack of groups, not certainty.",
        *evaluation.notes,
    ]
    if blind := [clip.name for clip in evaluation.clips if not clip.still and not clip.judged]:
        facts.append(f"Clips without a judged frame, so without a verdict: {', '.join(blind)}.")
    items = "".join(f"<li>{escape(fact)}</li>" for fact in facts)
    return f"<ul>{items}</ul><p class=notice>{escape(DISCLAIMER)}</p>"

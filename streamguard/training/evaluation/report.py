"""The report page of an evaluation, and the same figures as JSON.

The page loads nothing and runs nothing: styles are inline, pictures are data URIs, and its content policy
forbids the rest.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

from streamguard import report
from streamguard.files import write_text
from streamguard.training.evaluation.pictures import (
    AXES,
    DARK,
    LIGHT,
    Theme,
    errors_picture,
    histogram_picture,
    reliability_picture,
    robustness_picture,
    roc_picture,
)
from streamguard.training.evaluation.records import ClipRecord, Evaluation, FrameRecord, to_json
from streamguard.training.evaluation.robustness import Condition
from streamguard.training.evaluation.sheets import detail_sheets, sheets
from streamguard.training.evaluation.summary import Summary, clip_score, clip_verdict
from streamguard.training.evaluation.wording import DISCLAIMER, NONE, number, seconds

POINTS = 160
"""The most that a clip's line of scores has."""


def json_report(evaluation: Evaluation, summary: Summary, conditions: Sequence[Condition] = ()) -> str:
    """Return the figures and the records behind them as JSON text.

    Args:
        evaluation, summary: what was measured.
        conditions: the robustness figures, if any were measured.
    """
    figures = summary.to_dict()
    if conditions:
        figures["robustness"] = [asdict(each) for each in conditions]
    return to_json(evaluation, figures)


def write_html(evaluation: Evaluation, summary: Summary, path: Path, conditions: Sequence[Condition] = ()) -> None:
    """Write the report page; arguments as `json_report`.

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
    return report.render_page(
        "evaluation.html",
        title=f"Evaluation of {evaluation.model}",
        model=evaluation.model,
        notice=DISCLAIMER,
        facts=_facts(evaluation),
        sheets=sheets(evaluation, summary, conditions),
        pictures=[
            (title, *map(_data_uri, both)) for title, paint in painters if all(both := [paint(LIGHT), paint(DARK)])
        ],
        details=detail_sheets(summary),
        clips=[_clip(clip) for clip in clips if not clip.still],
        limits=_limits(evaluation, summary),
    )


def score_runs(frames: Sequence[FrameRecord]) -> list[list[tuple[float, float]]]:
    """A clip's scores over time, broken where frames were not judged; long clips are thinned by taking means.

    Returns runs of (share of the clip's time, score), both 0..1.
    """
    runs: list[list[tuple[float, float]]] = [[]]
    size = -(-len(frames) // POINTS) or 1
    for first in range(0, len(frames), size):
        part = frames[first : first + size]
        scores = [frame.score for frame in part if frame.score is not None]
        if scores:
            span = frames[-1].time - frames[0].time
            runs[-1].append(((part[0].time - frames[0].time) / (span or 1), fmean(scores)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _data_uri(png: bytes | None) -> str:
    return f"data:image/png;base64,{base64.b64encode(png or b'').decode('ascii')}"


def _facts(evaluation: Evaluation) -> list[tuple[str, str]]:
    clips = evaluation.clips
    counts = [
        (name, f"{len(own)} ({sum(clip.label for clip in own)} fake)")
        for name, still in (("Clips", False), ("Pictures", True))
        if (own := [clip for clip in clips if clip.still is still])
    ]
    return [
        ("Engine", evaluation.engine),
        ("Pixel threshold", f"{evaluation.threshold:g}"),
        ("Made", evaluation.created.strftime("%Y-%m-%d %H:%M %Z")),
        *counts,
        ("Groups", str(len({clip.group for clip in clips}))),
    ]


def _clip(clip: ClipRecord) -> list[Any]:
    """Its row in the table, cells as the template takes them."""
    verdict = clip_verdict(clip)
    rate = NONE if clip.bit_rate is None else f"{clip.bit_rate / 1000:.0f} kbit/s"
    right = "good" if verdict == clip.label else "bad"
    return [
        (clip.name, f"{clip.set}/{clip.program}"),
        _kind(clip.label),
        ("not judged", "unknown") if verdict is None else (_kind(verdict), right),
        number(clip_score(clip)),
        score_runs(clip.frames),
        f"{len(clip.judged)}/{len(clip.frames)}",
        ", ".join(seconds(each) for each in clip.alerts) or "none",
        (f"{clip.width}\N{MULTIPLICATION SIGN}{clip.height}", f"{clip.codec}, {rate}"),
    ]


def _kind(label: bool) -> str:
    return "fake" if label else "real"


def _limits(evaluation: Evaluation, summary: Summary) -> list[str]:
    facts = [
        f"Intervals: percentiles of {summary.n_boot} resamples of the groups. They tell how the figures move with the "
        "choice of people, not how the detector fares on other material. Where every resample agrees the interval "
        "shrinks to a point: that is a lack of groups, not certainty.",
        *evaluation.notes,
    ]
    if blind := [clip.name for clip in evaluation.clips if not clip.still and not clip.judged]:
        facts.append(f"Clips without a judged frame, so without a verdict: {', '.join(blind)}.")
    return facts

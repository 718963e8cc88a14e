"""One self-contained HTML page, and the same figures as JSON.

The page loads nothing and runs nothing: styles are inline, pictures are data URIs, and its content policy
forbids the rest. Every name from outside is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path

from streamguard.files import write_text
from streamguard.training.evaluation.markup import document, figure_cell, pictures, section, table
from streamguard.training.evaluation.page import sparkline
from streamguard.training.evaluation.pictures import Theme, histogram_picture, reliability_picture, roc_picture
from streamguard.training.evaluation.records import ClipRecord, Evaluation, to_json
from streamguard.training.evaluation.robustness import Condition, sent_figures
from streamguard.training.evaluation.sections import (
    alerts_section,
    errors_section,
    reliability_section,
    robustness_section,
)
from streamguard.training.evaluation.summary import Decisions, Summary, clip_score, clip_verdict
from streamguard.training.evaluation.wording import DISCLAIMER, bit_rate, number, outcome, seconds, truth

_ROWS = (("AUC", "auc"), ("Accuracy", "accuracy"), ("Precision", "precision"), ("Recall", "recall"), ("F1", "f1"))
_MASK_ROWS = (
    ("Dice, fake frames", "dice_fake"),
    ("Dice, fake and real frames", "dice_both"),
    ("IoU, fake frames", "iou_fake"),
    ("IoU, fake and real frames", "iou_both"),
)


def write_json(evaluation: Evaluation, summary: Summary, path: Path, conditions: Sequence[Condition] = ()) -> None:
    """Writes the records with their figures; `records.read_json` reads the records back.

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
    has_masks = any(masks.dice_both.value is not None for masks in (summary.masks, summary.ellipse))
    masks = section("Masks", _masks(summary)) if has_masks else ""
    beside = f"<div>{masks}{section('What knows nothing reaches', _baselines(summary))}</div>"
    base = sent_figures(evaluation.clips, n_boot=summary.n_boot, seed=summary.seed) if conditions else None
    sections = [
        _head(evaluation, summary),
        f"<div class=columns>{section('Frames and videos', _headline(summary))}{beside}</div>",
        section("Curves", _pictures(evaluation, summary)),
        alerts_section(summary),
        section("By group", _groups(summary)),
        robustness_section(conditions, base),
        reliability_section(summary),
        errors_section(summary),
        section("Clip by clip", _clips(evaluation.clips, evaluation.threshold)),
        section("Data and limits", _limits(evaluation, summary)),
    ]
    return document(f"Evaluation of {evaluation.model}", sections)


def _head(evaluation: Evaluation, summary: Summary) -> str:
    counts = summary.counts
    facts = (
        ("Engine", evaluation.engine),
        ("Pixel threshold", f"{evaluation.threshold:g}"),
        ("Made", evaluation.created.strftime("%Y-%m-%d %H:%M %Z")),
        ("Clips", f"{counts.clips} ({counts.fake_clips} fake)"),
        ("Frames", f"{counts.frames} ({counts.judged} judged)"),
    )
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return (
        f"<header><p class=eyebrow>streamguard evaluation</p><h1>{escape(evaluation.model)}</h1>"
        f"<dl>{items}</dl><p class=notice role=note>{escape(DISCLAIMER)}</p></header>"
    )


def _headline(summary: Summary) -> str:
    both = (summary.frames, summary.videos)
    rows = [[label, *(figure_cell(getattr(each, key)) for each in both)] for label, key in _ROWS]
    rows.append(["Accuracy, always the majority", *(number(each.naive_accuracy) for each in both)])
    return table(("", "Frames", "Videos"), rows) + (
        "<p class=small>A video is fake when more than half of its judged frames are; its score is their mean. "
        f"Small figures: 95 % intervals, clips resampled {summary.n_boot} times within their class.</p>"
    )


def _baselines(summary: Summary) -> str:
    rows = [["<strong>this detector</strong>", figure_cell(summary.frames.auc), figure_cell(summary.videos.auc)]]
    for name, each in summary.baselines.items():
        rows.append([escape(name), figure_cell(each.frame_auc), figure_cell(each.video_auc)])
    return table(("AUC of", "Frames", "Videos"), rows) + (
        "<p class=small>0.5 is chance. A baseline below 0.5 separates as well, the other way round: far from "
        "0.5 on either side, the data can be told apart without looking at a manipulation.</p>"
    )


def _masks(summary: Summary) -> str:
    both = (summary.masks, summary.ellipse)
    rows = [[label, *(figure_cell(getattr(each, key)) for each in both)] for label, key in _MASK_ROWS]
    return table(("Mean over frames", "This detector", "Fixed ellipse"), rows) + (
        "<p class=small>An ellipse in the face box knows nothing and still meets most of a swapped face; on a "
        "real face only an empty mask is right.</p>"
    )


def _pictures(evaluation: Evaluation, summary: Summary) -> str:
    clips = evaluation.clips
    painters: tuple[tuple[str, Callable[[Theme], bytes | None]], ...] = (
        ("ROC with 95 % bands", lambda theme: roc_picture(clips, theme, seed=summary.seed)),
        ("Scores of real and fake frames", lambda theme: histogram_picture(clips, theme)),
        ("Do the scores come true?", lambda theme: reliability_picture(clips, theme)),
    )
    return pictures(painters) or "<p>Nothing was judged: nothing to draw.</p>"


def _groups(summary: Summary) -> str:
    rows = []
    for name, group in summary.groups.items():
        mark = "" if group.against == "own" else " *"
        rows.append(
            [
                escape(name),
                f"{group.counts.clips} ({group.counts.fake_clips})",
                f"{group.counts.judged}/{group.counts.frames}",
                _auc(group.frames, mark),
                _auc(group.videos, mark),
                figure_cell(group.frames.accuracy, terse=True),
                figure_cell(group.videos.accuracy, terse=True),
                figure_cell(group.dice_fake, terse=True),
            ]
        )
    heads = ("Group", "Clips (fake)", "Judged", "Frame AUC", "Video AUC", "Frame acc.", "Video acc.", "Dice, fake")
    borrowed = any(group.against != "own" for group in summary.groups.values())
    note = "<p class=small>* The group has no real clips: its fakes are ranked against all real clips.</p>"
    return table(heads, rows, wide=True) + (note if borrowed else "")


def _clips(clips: Sequence[ClipRecord], threshold: float) -> str:
    rows = []
    for clip in clips:
        verdict, judged, state = clip_verdict(clip), sum(frame.judged for frame in clip.frames), outcome(clip)
        said = "unknown" if verdict is None else truth(verdict)
        style = {"right": "good", "not judged": "unknown"}.get(state, "bad")
        rows.append(
            [
                f"{escape(clip.name)}<br><span class=small>{escape(clip.group)}</span>",
                truth(clip.label),
                f"{said}<br><span class={style}>{state}</span>",
                number(clip_score(clip)),
                sparkline(clip.frames),
                f"{judged}/{len(clip.frames)}",
                ", ".join(seconds(each) for each in clip.alerts) or "none",
                f"{clip.width}\N{MULTIPLICATION SIGN}{clip.height}<br>"
                f"<span class=small>{escape(clip.codec)}, {bit_rate(clip)}</span>",
            ]
        )
    heads = ("Clip", "Truth", "Verdict", "Score", "Score over time", "Judged", "Alerts at", "Picture")
    return table(heads, rows, wide=True) + (
        "<p class=small>Score over time: 0 at the bottom, 1 at the top, the dashed line is 0.5; gaps were not "
        f"judged. The verdict follows the frame rule (pixels above {threshold:g}), not this line.</p>"
    )


def _limits(evaluation: Evaluation, summary: Summary) -> str:
    counts = summary.counts
    facts = [
        f"{counts.frames - counts.judged} of {counts.frames} frames were not judged and take no part in any figure.",
        *(f"Not judged, {reason}: {frames} frames." for reason, frames in sorted(counts.unjudged.items())),
    ]
    if counts.clips_unjudged:
        names = ", ".join(clip.name for clip in evaluation.clips if not any(frame.judged for frame in clip.frames))
        facts.append(f"{counts.clips_unjudged} of {counts.clips} clips have no judged frame, so no verdict: {names}.")
    if counts.unlabelled:
        facts.append(f"{counts.unlabelled} judged frames have no known truth and count for the video verdict only.")
    facts.append(
        "Intervals tell how the figures move with the choice of clips, not how the detector fares on other "
        "material; clips that share a recording or a person count as independent here. Where "
        "every resample agrees the interval shrinks to a point: that is a lack of clips, not certainty."
    )
    items = "".join(f"<li>{escape(fact)}</li>" for fact in (*facts, *evaluation.notes))
    return f"<ul>{items}</ul><p class=notice>{escape(DISCLAIMER)}</p>"


def _auc(decisions: Decisions, mark: str) -> str:
    return figure_cell(decisions.auc, terse=True, mark=mark)

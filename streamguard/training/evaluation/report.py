"""One self-contained HTML page, and the same figures as JSON.

The page loads nothing and runs nothing: styles are inline, pictures are data URIs, and its content policy
forbids the rest. Every name from outside is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from streamguard.files import write_text
from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.page import STYLE, sparkline
from streamguard.training.evaluation.pictures import (
    DARK,
    LIGHT,
    Theme,
    histogram_picture,
    reliability_picture,
    roc_picture,
)
from streamguard.training.evaluation.records import ClipRecord, Evaluation, to_json
from streamguard.training.evaluation.summary import Decisions, Summary, clip_score, clip_verdict
from streamguard.training.evaluation.wording import DISCLAIMER, NONE, bit_rate, interval, number, outcome, truth

_ROWS = (("AUC", "auc"), ("Accuracy", "accuracy"), ("Precision", "precision"), ("Recall", "recall"), ("F1", "f1"))
_MASK_ROWS = (
    ("Dice, fake frames", "dice_fake"),
    ("Dice, fake and real frames", "dice_both"),
    ("IoU, fake frames", "iou_fake"),
    ("IoU, fake and real frames", "iou_both"),
)


def write_json(evaluation: Evaluation, summary: Summary, path: Path) -> None:
    """Writes the records with their figures; `records.read_json` reads the records back.

    Raises:
        OutputError: the file cannot be written; an older one is left as it was.
    """
    write_text(path, to_json(evaluation, summary.to_dict()))


def write_html(evaluation: Evaluation, summary: Summary, path: Path) -> None:
    """Writes the report page.

    Raises:
        OutputError: the file cannot be written; an older one is left as it was.
    """
    write_text(path, render(evaluation, summary))


def render(evaluation: Evaluation, summary: Summary) -> str:
    """The report page as HTML text."""
    title = escape(f"Evaluation of {evaluation.model}")
    has_masks = any(masks.dice_both.value is not None for masks in (summary.masks, summary.ellipse))
    masks = _section("Masks", _masks(summary)) if has_masks else ""
    beside = f"<div>{masks}{_section('What knows nothing reaches', _baselines(summary))}</div>"
    sections = [
        _head(evaluation, summary),
        f"<div class=columns>{_section('Frames and videos', _headline(summary))}{beside}</div>",
        _section("Curves", _pictures(evaluation, summary)),
        _section("By group", _groups(summary)),
        _section("Clip by clip", _clips(evaluation.clips, evaluation.threshold)),
        _section("Data and limits", _limits(evaluation, summary)),
    ]
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


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
    rows = [[label, *(_figure(getattr(each, key)) for each in both)] for label, key in _ROWS]
    rows.append(["Accuracy, always the majority", *(number(each.naive_accuracy) for each in both)])
    return _table(("", "Frames", "Videos"), rows) + (
        "<p class=small>A video is fake when more than half of its judged frames are; its score is their mean. "
        f"Small figures: 95 % intervals, clips resampled {summary.n_boot} times within their class.</p>"
    )


def _baselines(summary: Summary) -> str:
    rows = [["<strong>this detector</strong>", _figure(summary.frames.auc), _figure(summary.videos.auc)]]
    for name, each in summary.baselines.items():
        rows.append([escape(name), _figure(each.frame_auc), _figure(each.video_auc)])
    return _table(("AUC of", "Frames", "Videos"), rows) + (
        "<p class=small>0.5 is chance. A baseline below 0.5 separates as well, the other way round: far from "
        "0.5 on either side, the data can be told apart without looking at a manipulation.</p>"
    )


def _masks(summary: Summary) -> str:
    both = (summary.masks, summary.ellipse)
    rows = [[label, *(_figure(getattr(each, key)) for each in both)] for label, key in _MASK_ROWS]
    return _table(("Mean over frames", "This detector", "Fixed ellipse"), rows) + (
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
    shown = "".join(_picture(title, paint) for title, paint in painters)
    return f"<div class=figures>{shown}</div>" if shown else "<p>Nothing was judged: nothing to draw.</p>"


def _picture(title: str, paint: Callable[[Theme], bytes | None]) -> str:
    light, dark = paint(LIGHT), paint(DARK)
    if light is None or dark is None:
        return ""
    day, night = (f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}" for png in (light, dark))
    return (
        f'<figure><picture><source media="(prefers-color-scheme: dark)" srcset="{night}">'
        f'<img alt="{escape(title)}" src="{day}"></picture><figcaption>{escape(title)}</figcaption></figure>'
    )


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
                _figure(group.frames.accuracy, terse=True),
                _figure(group.videos.accuracy, terse=True),
                _figure(group.dice_fake, terse=True),
            ]
        )
    heads = ("Group", "Clips (fake)", "Judged", "Frame AUC", "Video AUC", "Frame acc.", "Video acc.", "Dice, fake")
    borrowed = any(group.against != "own" for group in summary.groups.values())
    note = "<p class=small>* The group has no real clips: its fakes are ranked against all real clips.</p>"
    return _table(heads, rows, wide=True) + (note if borrowed else "")


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
                f"{clip.width}\N{MULTIPLICATION SIGN}{clip.height}<br>"
                f"<span class=small>{escape(clip.codec)}, {bit_rate(clip)}</span>",
            ]
        )
    heads = ("Clip", "Truth", "Verdict", "Score", "Score over time", "Judged", "Picture")
    return _table(heads, rows, wide=True) + (
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
        facts.append(f"{counts.clips_unjudged} of {counts.clips} clips have no judged frame and so no verdict.")
    if counts.unlabelled:
        facts.append(f"{counts.unlabelled} judged frames have no known truth and count for the video verdict only.")
    facts.append(
        "Intervals tell how the figures move with the choice of clips, not how the detector fares on other "
        "material; clips that share a recording or a person count as independent here. Where "
        "every resample agrees the interval shrinks to a point: that is a lack of clips, not certainty."
    )
    items = "".join(f"<li>{escape(fact)}</li>" for fact in (*facts, *evaluation.notes))
    return f"<ul>{items}</ul><p class=notice>{escape(DISCLAIMER)}</p>"


def _figure(figure: Figure, *, terse: bool = False, mark: str = "") -> str:
    why = escape(figure.reason or "")
    if figure.value is None:
        return f'<span title="{why}">{NONE}</span>' if terse else f"{NONE}<br><span class=small>{why}</span>"
    spread = interval(figure)
    below = f'<br><span class="small keep">{spread}</span>' if spread else ""
    if not (spread or terse):
        below = f"<br><span class=small>{why}</span>"
    return number(figure.value) + mark + below


def _auc(decisions: Decisions, mark: str) -> str:
    return _figure(decisions.auc, terse=True, mark=mark)


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, wide: bool = False) -> str:
    names = [escape(text) for text in heads]
    head = "".join(f"<th scope=col>{name}</th>" for name in names)
    body = ""
    for first, *rest in rows:
        # On a phone a wide table becomes a list of cards, where each cell needs its column's name beside it.
        cells = "".join(f'<td data-head="{name}">{cell}</td>' for name, cell in zip(names[1:], rest, strict=True))
        body += f"<tr><th scope=row>{first}</th>{cells}</tr>"
    table = f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
    return f"<div class=scroll tabindex=0><table{' class=wide' if wide else ''}>{table}</table></div>"

"""Output of `streamguard scan`: lines and tables for people, CSV for spreadsheets."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping

from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from streamguard.cli.runner import STYLES, console
from streamguard.errors import one_line
from streamguard.pipeline.scan_documents import ScanFileDocument, ScanTrackDocument, credentials_of
from streamguard.provenance import credentials_told
from streamguard.types import Reason, Verdict
from streamguard.verdict import Finding

MOST_ROWS, MOST_SPANS = 20, 4
_STYLES = {
    Finding.FAKE: STYLES[Verdict.FAKE],
    Finding.FAKE_IN_PART: STYLES[Verdict.FAKE],
    Finding.UNSURE: STYLES[Verdict.UNSURE],
    Finding.NO_SIGN_FOUND: STYLES[Verdict.REAL],
    Finding.NOT_JUDGED: STYLES[Verdict.UNKNOWN],
}
COLUMNS = (
    *("path", "kind", "finding", "share", "score", "highest", "frames", "judged", "fake", "unsure", "faceless"),
    *("faces", "duration", "width", "height", "fake_intervals", "unjudged", "credentials", "signer", "fault"),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def show(document: ScanFileDocument) -> None:
    """Print one line for the file, whatever its length, then a table of its faces."""
    line = Text(f"{one_line(document.path)}: ").append(document.finding.words, _STYLES[document.finding])
    if document.share is not None and document.kind == "picture":
        line.append(f", score {document.score:.2f}")
    elif document.share is not None:
        line.append(f", {document.share:.0%} of {document.judged} judged frames fake")
        if document.unsure:
            line.append(f", {document.unsure / document.judged:.0%} unsure")
    elif document.tracks:
        why = f" ({_counted(document.unjudged)})" if document.unjudged else ""
        line.append(f", no face could be judged{why}")
    elif document.kind == "picture" and document.frames:
        line.append(", no face in it")
    else:
        line.append(f", no face in {document.frames} frames" if document.frames else ", not one frame could be read")
    console.print(line, soft_wrap=True)
    if document.tracks:
        console.print(_table(document))
    # Most files have none, which says nothing: a line for each would drown the rest.
    if document.credentials is not None and document.credentials.state not in {"none", "not_read"}:
        console.print(Text(" ".join(credentials_told(credentials_of(document.credentials)))), soft_wrap=True)


def csv_text(documents: Iterable[ScanFileDocument]) -> str:
    """One row a file below the names of the columns (RFC 4180); intervals in seconds, several apart by `;`."""
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    for each in documents:
        highest = max((sample.highest for sample in each.scores if sample.highest is not None), default=None)
        cells = {
            **each.model_dump(include=set(COLUMNS)),
            "path": _plain(each.path),
            "finding": each.finding.value,
            **{name: _rounded(value) for name, value in (("share", each.share), ("score", each.score))},
            "highest": highest,
            "faces": len(each.tracks),
            "fake_intervals": "; ".join(f"{start:.2f}-{end:.2f}" for start, end in each.fake_intervals),
            "unjudged": "; ".join(f"{reason}: {count}" for reason, count in each.unjudged.items()),
            "credentials": each.credentials.state if each.credentials is not None else None,
            "signer": _plain(each.credentials.signer) if each.credentials is not None else None,
            "fault": _plain(each.fault.message) if each.fault is not None else None,
        }
        rows.writerow([cells[name] for name in COLUMNS])
    return out.getvalue()


def _plain(text: str) -> str:
    """The text so that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _counted(reasons: Mapping[Reason, int]) -> str:
    often = sorted(reasons.items(), key=lambda each: -each[1])
    return ", ".join(f"{reason} in {count}" for reason, count in often)


def _table(document: ScanFileDocument) -> Table:
    table = Table(box=SIMPLE, caption_justify="left", show_edge=False, pad_edge=False, collapse_padding=True)
    # A detector without a band is never unsure.
    unsure = ["unsure"] if any(track.unsure for track in document.tracks) else []
    columns = ("face", "verdict", "fake", *unsure, "score", "judged", "unjudged", "seen, s", "called fake, s")
    for column in columns:
        table.add_column(column, justify="left" if column.startswith(("verdict", "held")) else "right")
    # Fakes first, then by how much was seen of a face: a long film has hundreds of passers-by.
    told = sorted(document.tracks, key=_gravity)[:MOST_ROWS]
    for track in sorted(told, key=lambda track: track.track):
        spans = [f"{start:.1f}-{end:.1f}" for start, end in track.fake_intervals]
        more = [f"and {len(spans) - MOST_SPANS} more"] if len(spans) > MOST_SPANS else []
        table.add_row(
            str(track.track),
            Text(track.finding.label, _STYLES[track.finding]),
            "-" if track.share is None else f"{track.share:.0%}",
            *(f"{track.unsure / track.judged:.0%}" if track.judged else "-" for _ in unsure),
            "-" if track.score is None else f"{track.score:.2f}",
            str(track.judged),
            str(track.unknown),
            "-" if document.kind == "picture" else f"{track.first:.1f}-{track.last:.1f}",
            ", ".join(spans[:MOST_SPANS] + more) or "-",
        )
    notes = []
    if hidden := len(document.tracks) - len(told):
        notes.append(f"and {hidden} more faces; --json writes all")
    if document.unjudged:
        notes.append(f"unjudged: {_counted(document.unjudged)} frames")
    table.caption = "\n".join(notes) or None
    return table


def _gravity(track: ScanTrackDocument) -> tuple[bool, int, int, int]:
    return not track.fake_intervals, -track.fake, -track.unsure, -track.judged

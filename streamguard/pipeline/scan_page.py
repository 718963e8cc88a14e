"""The report of one judged file as a page by itself: verdict, score over time, faces, pictures."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from streamguard.pipeline.highlights import Highlight
from streamguard.pipeline.scan_documents import ScanDocument, ScanFileDocument, ScanScoreDocument, credentials_of
from streamguard.provenance import credentials_told
from streamguard.report import render_page
from streamguard.types import Reason
from streamguard.verdict import Finding

_WIDTH, _HEIGHT = 1000.0, 200.0
_NONE = "\N{EN DASH}"
_PAUSE = 1.0
"""Seconds without a judged frame that break the line."""
_HEADINGS = {
    Finding.FAKE: "Looks fake",
    Finding.FAKE_IN_PART: "Looks fake in part",
    Finding.UNSURE: "Unsure",
    Finding.NO_SIGN_FOUND: "No sign of manipulation found",
    Finding.NOT_JUDGED: "Not judged",
}
_REASONS = {
    Reason.TOO_SMALL: "the face is too small in the picture",
    Reason.TOO_BLURRED: "the face is too blurred",
    Reason.CUT_OFF: "part of the face is outside the picture",
    Reason.JUST_APPEARED: "the face had just appeared",
    Reason.ENGINE_FAILED: "the detector failed, which says nothing about the face",
}
LIMITS = (
    "Only faces are judged: not voices, backgrounds, captions, or whether a scene is what it is said to be.",
    "No sign found is no proof: a manipulation of a kind this detector has not learned, or one that a strong "
    "compression has washed out, can be missed.",
    "Heavy retouching, filters and video effects on a real face can look like a manipulation.",
)


def scan_page(report: ScanDocument, name: str, pictures: Sequence[Highlight] = ()) -> str:
    """The page of the report's one file, as HTML that needs nothing else.

    Args:
        report: of one file.
        name: what the file is called.
        pictures: frames that are shown.
    """
    (file,) = report.files
    length = f"{file.duration:.1f} s, {file.frames} frames" if file.kind == "video" else "one picture"
    return render_page(
        "check.html",
        title=f"{name}: {_HEADINGS[file.finding]}",
        name=name,
        heading=_HEADINGS[file.finding],
        tone=file.finding.value.lower(),
        words=words(file),
        facts=[
            ("File", name),
            ("Length", length),
            ("Picture", f"{file.width} x {file.height}" if file.frames else "none"),
            ("Judged frames", str(file.judged)),
            ("Detector", report.model),
            ("Engine", report.engine),
        ],
        notice=report.notice,
        fault=file.fault.message if file.fault is not None else None,
        curve=_curve(file),
        faces=[_face(file, track) for track in range(len(file.tracks))],
        reasons=[f"{_REASONS[reason]}: {count} times" for reason, count in file.unjudged.items()],
        pictures=[
            (
                f"{one.time:.1f} s, score {one.score:.2f}",
                f"data:image/jpeg;base64,{base64.b64encode(one.jpeg).decode()}",
            )
            for one in pictures
        ],
        credentials=credentials_told(credentials_of(file.credentials)) if file.credentials is not None else None,
        limits=LIMITS,
    )


def words(file: ScanFileDocument) -> str:
    """The finding in a sentence."""
    if file.kind == "picture":
        return {
            Finding.FAKE: "A face in this picture looks manipulated.",
            Finding.UNSURE: "There are signs of manipulation, too weak to call it fake.",
            Finding.NO_SIGN_FOUND: "No face in this picture looks manipulated.",
        }.get(file.finding, "No face in this picture could be judged.")
    share = f"{file.share or 0:.0%}"
    return {
        Finding.FAKE: f"A face looks manipulated in {share} of the judged frames.",
        Finding.FAKE_IN_PART: f"A face looks manipulated for a while, in {share} of the judged frames.",
        Finding.UNSURE: "Most judged frames show signs of manipulation, too weak to call it fake.",
        Finding.NO_SIGN_FOUND: f"A face looks manipulated in {share} of the judged frames, too few to count."
        if file.fake
        else "No judged frame looks manipulated.",
        Finding.NOT_JUDGED: "No face in it could be judged.",
    }[file.finding]


def _data(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _curve(file: ScanFileDocument) -> dict[str, object] | None:
    """Runs of points and spans called fake, in a box of 1000 by 200; None where there is nothing to draw."""
    if file.kind == "picture" or not any(sample.judged for sample in file.scores):
        return None
    length = max(file.duration, 0.1)
    runs: list[list[tuple[float, float]]] = []
    last: ScanScoreDocument | None = None
    for sample in file.scores:
        if sample.score is None:
            continue
        if last is None or sample.start - last.end > _PAUSE:
            runs.append([])
        runs[-1].append(((sample.start + sample.end) / 2 / length * _WIDTH, (1 - sample.score) * _HEIGHT))
        last = sample
    spans = [(start / length * _WIDTH, max(2.0, (end - start) / length * _WIDTH)) for start, end in file.fake_intervals]
    return {"runs": runs, "spans": spans, "length": f"{file.duration:.1f} s"}


def _face(file: ScanFileDocument, number: int) -> list[str]:
    track = file.tracks[number]
    spans = ", ".join(f"{start:.1f}-{end:.1f}" for start, end in track.fake_intervals[:12])
    return [
        str(track.track),
        _HEADINGS[track.finding],
        _NONE if track.share is None else f"{track.share:.0%}",
        _NONE if track.score is None else f"{track.score:.2f}",
        str(track.judged),
        str(track.unknown),
        _NONE if file.kind == "picture" else f"{track.first:.1f}-{track.last:.1f}",
        spans or _NONE,
    ]

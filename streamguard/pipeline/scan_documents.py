"""The report of judged files as JSON, versioned; `streamguard scan --schema` prints its JSON Schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from streamguard.errors import StreamguardError, redact
from streamguard.provenance import AiUse, Credentials, CredentialsState
from streamguard.types import Reason, Verdict
from streamguard.verdict import Finding, ScoreSample
from streamguard.verdict.curve import MOST_SAMPLES

if TYPE_CHECKING:
    from streamguard.pipeline.guard import Guard
    from streamguard.pipeline.scan import FileScan

NOTICE = "An automated estimate that may be wrong."
RULE = (
    "FAKE if more than half of the judged frames are fake, else UNSURE if more than half are fake or unsure, else "
    "REAL; UNKNOWN if none was judged."
)


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScanScoreDocument(_Document):
    """A few frames in a row on the score's way through a file; where nothing is told, nothing was seen."""

    start: float = Field(description="Media seconds of the first of them.")
    end: float = Field(description="Media seconds of the last of them.")
    score: float | None = Field(description="Mean calibrated fake probability, 0..1; null where none was judged.")
    highest: float | None = Field(description="The highest of them, 0..1; null where none was judged.")
    judged: int
    frames: int


_UNJUDGED = "Why not, with the frames in which it was so: " + ", ".join(f"`{reason}`" for reason in Reason) + "."
_FINDING = (
    "What people are told: `FAKE`; `FAKE_IN_PART`: most judged frames are not fake, but a stretch was called fake; "
    "`UNSURE`; `NO_SIGN_FOUND`; `NOT_JUDGED`."
)
_BY_MAJORITY = f"{RULE} By this rule alone: a shorter fake is told by `finding`."


class ScanTrackDocument(_Document):
    """One face of a file."""

    track: int = Field(description="Id of the face's track, from 1.")
    finding: Finding = Field(description=_FINDING)
    verdict: Verdict = Field(description=_BY_MAJORITY)
    share: float | None = Field(description="Fake frames among the judged ones, 0..1.")
    score: float | None = Field(description="Mean calibrated fake probability, 0..1.")
    judged: int
    fake: int
    unsure: int = Field(default=0, description="Judged frames that are not fake, but show signs too weak to be.")
    unknown: int = Field(description="Frames in which the face was there but not judged.")
    unjudged: dict[Reason, int] = Field(default_factory=dict, description=_UNJUDGED)
    first: float = Field(description="Media seconds of the face's first frame.")
    last: float
    fake_intervals: list[tuple[float, float]] = Field(description="When the sliding vote held it for fake, seconds.")
    scores: list[ScanScoreDocument] = Field(
        default_factory=list, description=f"Its score over time, {MOST_SAMPLES} samples at the most."
    )


class ScanFaultDocument(_Document):
    """Why a file was not read to its end."""

    kind: str
    message: str


class CredentialsDocument(_Document):
    """The Content Credentials (C2PA) of a file. They say who vouches for it, and change no verdict."""

    state: CredentialsState = Field(
        description="none: says nothing; valid: signed and unchanged, the signer's name unchecked; trusted: an "
        "authority that was named vouches for the signer; invalid: changed, or the signature does not hold; "
        "unreadable: damaged or huge; not_read: the extra `provenance` is missing, or it is no local file."
    )
    signer: str = Field(description="Organisation of the signer's certificate; empty where there is none.")
    signed: str = Field(description="When, as a clock that signs says; empty where none did.")
    tool: str = Field(description="What made the newest claim.")
    ai: AiUse | None = Field(description="What they declare AI to have made; null where they declare nothing of it.")
    edits: list[str] = Field(description="Actions they declare after the beginning, such as `c2pa.cropped`.")
    why: str = Field(description="Why they do not hold, or were not read.")


class ScanFileDocument(_Document):
    """Report of one file."""

    path: str
    kind: Literal["video", "picture"] = Field(
        default="video", description="A picture is one frame, judged by itself without a vote."
    )
    finding: Finding = Field(description=_FINDING)
    verdict: Verdict = Field(description=_BY_MAJORITY)
    contains_fake: bool = Field(description="A fake was found somewhere, whatever the verdict.")
    share: float | None = Field(description="Fake frames among the judged ones, 0..1.")
    score: float | None = Field(description="Mean calibrated fake probability over judged frames, 0..1.")
    frames: int
    judged: int
    fake: int
    unsure: int = Field(default=0, description="Judged frames with an unsure face and no fake one.")
    faceless: int = Field(default=0, description="Frames without a face.")
    unjudged: dict[Reason, int] = Field(
        default_factory=dict, description="Of all faces together: the sum of the tracks' own counts."
    )
    duration: float = Field(description="Media seconds of the last frame.")
    width: int
    height: int
    fake_intervals: list[tuple[float, float]]
    scores: list[ScanScoreDocument] = Field(
        default_factory=list,
        description=f"The highest score of each frame over time, {MOST_SAMPLES} samples at the most.",
    )
    tracks: list[ScanTrackDocument]
    credentials: CredentialsDocument | None = Field(
        default=None, description="Beside the verdict, never part of it; null in reports of before."
    )
    fault: ScanFaultDocument | None = Field(description="Set when the file could not be read to its end.")


class ScanDocument(_Document):
    """The report of `streamguard scan --json`."""

    schema_: Literal["streamguard.scan/1"] = Field(default="streamguard.scan/1", alias="schema")
    notice: str = NOTICE
    model: str = Field(description="Model name and digest.")
    engine: str = Field(description="Engine, precision and digest.")
    threshold: float = Field(description="Pixel threshold of the frame rule, 0..1.")
    unsure_threshold: float | None = Field(
        default=None, description="The one above which a face that is not fake is unsure; null: no face is."
    )
    complete: bool = Field(description="False when the scan was stopped early.")
    files: list[ScanFileDocument]


def file_document(path: str, scan: FileScan, credentials: Credentials | None = None) -> ScanFileDocument:
    """The document of one scanned file.

    Args:
        path: as it is told; it need not be where the file lies.
        scan: of the file.
        credentials: its Content Credentials.
    """
    verdict = scan.verdict
    return ScanFileDocument(
        path=redact(path),
        kind="picture" if scan.is_picture else "video",
        finding=verdict.finding,
        verdict=verdict.verdict,
        contains_fake=verdict.contains_fake or (scan.is_picture and verdict.verdict is Verdict.FAKE),
        share=verdict.share,
        score=verdict.score,
        frames=verdict.frames,
        judged=verdict.judged,
        fake=verdict.fake,
        unsure=verdict.unsure,
        faceless=verdict.faceless,
        unjudged=dict(verdict.unjudged),
        duration=scan.duration,
        width=scan.width,
        height=scan.height,
        fake_intervals=list(verdict.fake_intervals),
        scores=_scores(verdict.scores),
        tracks=[
            ScanTrackDocument.model_validate({**asdict(track), "scores": _scores(track.scores)})
            for track in verdict.tracks
        ],
        credentials=credentials_document(credentials) if credentials is not None else None,
        fault=_fault(path, scan.fault) if scan.fault is not None else None,
    )


def credentials_document(found: Credentials) -> CredentialsDocument:
    """Content Credentials as a document."""
    return CredentialsDocument.model_validate({**asdict(found), "edits": list(found.edits)})


def credentials_of(document: CredentialsDocument) -> Credentials:
    """The Content Credentials of a document."""
    return Credentials(**{**document.model_dump(), "edits": tuple(document.edits)})


def scan_document(guard: Guard, files: list[ScanFileDocument], *, complete: bool) -> ScanDocument:
    """The whole report."""
    return ScanDocument(
        model=guard.model_label,
        engine=guard.engine_label,
        threshold=guard.spec.threshold,
        unsure_threshold=guard.spec.unsure_threshold,
        complete=complete,
        files=files,
    )


def _scores(samples: Sequence[ScoreSample]) -> list[ScanScoreDocument]:
    return [
        ScanScoreDocument(
            start=round(each.start, 3),
            end=round(each.end, 3),
            score=None if each.score is None else round(each.score, 4),
            highest=None if each.highest is None else round(each.highest, 4),
            judged=each.judged,
            frames=each.frames,
        )
        for each in samples
    ]


def _fault(path: str, fault: StreamguardError) -> ScanFaultDocument:
    # Where the file lies is nobody's business where it was given under another name.
    told = StreamguardError(path, fault.cause, fault.remedy)
    return ScanFaultDocument(kind=type(fault).__name__, message=str(told))

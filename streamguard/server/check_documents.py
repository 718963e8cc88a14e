"""Documents of files that are checked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from streamguard.pipeline.scan_documents import ScanDocument
from streamguard.server.check_upload import NAME
from streamguard.server.documents import Document, ProblemDocument


class CheckQuery(Document):
    """Query of an upload."""

    name: Annotated[str, Field(pattern=NAME)] | None = Field(
        default=None, description="What the file is called; a name, not a path. Default: what a form's field says."
    )


class ReportQuery(Document):
    """Query of a report's link."""

    key: Annotated[str, Field(min_length=1, max_length=64)] = ""


class CheckDocument(Document):
    """A file that was sent to be judged."""

    id: str
    name: str
    bytes: int
    made: AwareDatetime
    state: Literal["waiting", "running", "done", "failed"]
    ahead: int = Field(description="Files whose turn comes before.")
    progress: float = Field(ge=0, le=1, description="Share that is judged.")
    expires: AwareDatetime | None = Field(description="When it is removed; null as long as it has not ended.")
    result: ScanDocument | None = Field(description="What `streamguard scan --json` would write; null before `done`.")
    report: str | None = Field(description="Link to the result as a page by itself; holds until `expires`.")
    problem: ProblemDocument | None = Field(description="Why it `failed`.")

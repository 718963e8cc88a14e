"""The one exception tree. Every error names the thing, the cause and the remedy.

Foreign errors (av, torch, openvino, OSError) are mapped to these at the edge of the package that owns the
library. `retryable` says whether trying again later can help; `exit_code` is what the command line returns.
"""

from __future__ import annotations

import re
from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

_SECRET_QUERY = re.compile(r"(?i)((?:^|&)(?:token|key|password|passwd|pwd|secret|signature|sig|auth)=)[^&]*")


def redact(url: str) -> str:
    """The URL as it may be shown: password and secret-looking query values replaced by `***`.

    >>> redact("rtsp://bob:s3cret@cam/live?token=abc")
    'rtsp://bob:***@cam/live?token=***'
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return url.split("://", 1)[0] + "://***" if "://" in url else url
    if not parts.scheme or not parts.netloc:
        return url
    netloc = parts.netloc
    if "@" in netloc:
        credentials, host = netloc.rsplit("@", 1)
        user, colon, _ = credentials.partition(":")
        netloc = f"{user}:***@{host}" if colon else f"{user}@{host}"
    return urlunsplit(parts._replace(netloc=netloc, query=_SECRET_QUERY.sub(r"\1***", parts.query)))


class StreamguardError(Exception):
    """Base of every error raised on purpose.

    Args:
        thing: what is concerned (a path, a redacted URL, a model name).
        cause: what went wrong, one clause without a final stop.
        remedy: what the reader can do about it, one clause without a final stop.
    """

    retryable: ClassVar[bool] = False
    exit_code: ClassVar[int] = 1

    def __init__(self, thing: str, cause: str, remedy: str = "") -> None:
        self.thing, self.cause, self.remedy = redact(thing), cause.rstrip("."), remedy.rstrip(".")
        super().__init__(self.thing, self.cause, self.remedy)

    def __str__(self) -> str:
        text = f"{self.thing}: {self.cause}"
        return f"{text}. {self.remedy}." if self.remedy else f"{text}."


class SourceError(StreamguardError):
    """A stream or file cannot be reached."""

    exit_code = 3


class SourceNotFound(SourceError):
    """The file, host or path does not exist."""


class SourceRefused(SourceError):
    """The host refused the connection."""

    retryable = True


class SourceUnauthorized(SourceError):
    """The source asked for credentials, or refused the ones given."""


class SourceTimeout(SourceError):
    """The source did not answer, or stopped sending, within its time limit."""

    retryable = True


class SourceEnded(SourceError):
    """A live source ended or broke off while it was being read."""

    retryable = True


class MediaError(StreamguardError):
    """The source was reached but is no usable video."""

    exit_code = 4


class EmptyMedia(MediaError):
    """There are no bytes, or no frame could be decoded."""


class CorruptMedia(MediaError):
    """The bytes are damaged or not a media file; frames before the damage have been delivered."""


class NoVideo(MediaError):
    """The media carries no video track."""


class UnsupportedMedia(MediaError):
    """The codec, pixel format or picture size is not one this build can judge."""


class ModelError(StreamguardError):
    """A detector cannot be loaded."""

    exit_code = 5


class UnknownModel(ModelError):
    """No detector of that name is shipped or registered."""


class CorruptWeights(ModelError):
    """The weights are missing, damaged, or not those the spec names (hash mismatch)."""


class EngineError(StreamguardError):
    """An inference engine cannot be used."""

    exit_code = 6


class UnknownEngine(EngineError):
    """No engine of that name is registered."""


class EngineUnavailable(EngineError):
    """The engine's library or device is not here."""


class EngineFailed(EngineError):
    """The engine raised while it was judging. Never turned into a verdict: the faces become UNKNOWN."""

    retryable = True


class ParityError(EngineError):
    """A compiled engine disagrees with the float32 eager reference and is refused."""


class ConfigError(StreamguardError):
    """A configuration file is missing, unreadable, or holds a wrong or unknown key."""

    exit_code = 7


class DataError(StreamguardError):
    """Training or evaluation data cannot be used."""

    exit_code = 8


class OutputError(StreamguardError):
    """A result cannot be written."""

    exit_code = 9

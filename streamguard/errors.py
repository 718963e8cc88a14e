"""The one exception tree. Every error names the thing, the cause and the remedy.

Foreign errors (av, torch, openvino, OSError) are mapped to these at the edge of the package that owns the
library. `retryable` says whether trying again later can help; `exit_code` is what the command line returns.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Self

_SECRET = re.compile(r"(?i)((?:^|[?&;/_~])(?:[a-z.-]*(?:token|key|pass|pwd|secret|sig|auth|hmac|hdnts))[a-z]*=)[^&;#]*")
_STREAM_KEY = re.compile(r"(?i)(rtmps?://[^/]*/[^/?#]+/)[^?#]+")
_URL = re.compile(r"(\s*[A-Za-z][A-Za-z0-9+.\-]*://)(.*)", re.DOTALL)


def redact(url: str) -> str:
    """The URL as it may be shown: password and secret-looking query values replaced by `***`.

    A password that should have been percent-encoded (`/`, `?`, `#`, `@` in it) is hidden whole: where a URL can be
    read in two ways, more is hidden rather than less. The last part of an RTMP path is a stream key, and hidden.

    >>> redact("rtsp://bob:s3cret@cam/live?token=abc")
    'rtsp://bob:***@cam/live?token=***'
    """
    match = _URL.fullmatch(url)
    if match is None:
        return url
    scheme, rest = match.groups()
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    user, colon, secret = rest.partition(":")
    if ":" in authority and colon and "@" in secret:
        hidden, _, shown = secret.rpartition("@")
        # What follows an `@` within a query is the end of a secret, or the host: nobody knows.
        rest = f"{user}:***" if re.search(r"[?#]", hidden) else f"{user}:***@{shown}"
    elif not colon and "@" in authority:
        # A name without a password may be a token.
        rest = f"***@{rest.partition('@')[2]}"
    return _STREAM_KEY.sub(r"\1***", scheme + _SECRET.sub(r"\1***", rest))


def one_line(text: str) -> str:
    """The text with line ends and control characters escaped, so that it can be shown in a terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


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
        # Names come from outside: neither a second line nor a terminal's control sequence may come along.
        self.thing = one_line(redact(thing))
        self.cause, self.remedy = (one_line(text).rstrip(".") for text in (cause, remedy))
        super().__init__(self.thing, self.cause, self.remedy)

    def __str__(self) -> str:
        text = f"{self.thing}: {self.cause}"
        return f"{text}. {self.remedy[0].upper()}{self.remedy[1:]}." if self.remedy else f"{text}."


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


class SourceUntrusted(SourceError):
    """The host's TLS certificate is not trusted, or is another host's."""


class SourceTimeout(SourceError):
    """The source did not answer, or stopped sending, within its time limit."""

    retryable = True


class SourceEnded(SourceError):
    """A live source ended or broke off while it was being read."""

    retryable = True


class StreamCrashed(SourceError):
    """Judging a stream, or the source of a plugin, failed as nobody foresaw; it is begun anew."""

    retryable = True


class StreamsError(SourceError):
    """A stream cannot be opened, found or changed as asked."""


class UnknownStream(StreamsError):
    """There is no stream of that name."""


class NameInUse(StreamsError):
    """There is a stream of that name already."""


class NotPulled(StreamsError):
    """The stream is sent to us: nobody here can change its source."""


class Overloaded(StreamsError):
    """No more streams now.

    Attributes:
        wait: seconds after which somebody who was refused may come back.
    """

    retryable = True
    wait = 5


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


class InvalidConfig(ConfigError):
    """Something is wrong with the configuration, or several things; told is the first.

    Attributes:
        problems: all of them, in the order in which they were found.
    """

    problems: tuple[ConfigError, ...] = ()

    @classmethod
    def of(cls, problems: Sequence[ConfigError]) -> Self:
        """The error of one problem at least."""
        first = problems[0]
        more = f" (and {len(problems) - 1} more: see `streamguard config check`)" if len(problems) > 1 else ""
        error = cls(first.thing, f"{first.cause}{more}", first.remedy)
        error.problems = tuple(problems)
        return error


class DataError(StreamguardError):
    """Training or evaluation data cannot be used."""

    exit_code = 8


class OutputError(StreamguardError):
    """A result cannot be written."""

    exit_code = 9


class OutboxError(OutputError):
    """The event database is locked, full, out of reach, or damaged; nothing of the transaction was kept."""

    retryable = True


class DatabaseLocked(OutboxError):
    """Another process holds the event database."""


class UnknownIncident(DataError):
    """There is no incident of that id, or it is kept no more."""


class SubscriptionError(ConfigError):
    """A webhook subscription is wrong: its URL, rule, format, secret or state."""


class UnknownSubscription(SubscriptionError):
    """No subscription or delivery of that id."""


class ForbiddenTarget(SubscriptionError):
    """A URL leads to a private, local or reserved address, or to this server itself."""


class EvidenceError(DataError):
    """Evidence is missing, damaged, or its signature, link or hash does not hold."""


class EvidenceGone(EvidenceError):
    """Evidence that was there is kept no more."""


class BrokerError(OutputError):
    """An MQTT broker cannot be told how the streams do."""


class BrokerUnreachable(BrokerError):
    """The broker is away, or its certificate is not trusted."""

    retryable = True


class BrokerRefused(BrokerError):
    """The broker does not take this server's name, password or rights."""


class BrokerClash(BrokerError):
    """Another server publishes under this one's name."""


class RemoteError(StreamguardError):
    """A streamguard server cannot be reached, or refused what the command line asked."""

    exit_code = 11


class SignOnError(RemoteError):
    """Nobody vouches for somebody: neither an OpenID provider nor a proxy."""


class SignOnRefused(SignOnError):
    """A token, or a proxy's header field, does not hold here and now."""


class SignOnUnavailable(SignOnError):
    """The OpenID provider's keys cannot be fetched."""

    retryable = True

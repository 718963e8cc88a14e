"""The parts of the configuration that come in any number: streams, and rules of who is told what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from streamguard.alerts.rules import Rule
from streamguard.config.sections import STREAM_NAME, Location, Section, secret_file
from streamguard.errors import OutputError, redact

_HOSTED = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "whep+http", "whep+https", "srt", "tcp"})
_SCHEMES = _HOSTED | {"udp", "rtp", "file"}
_PLUGINS = "streamguard.sources"
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,86}={0,2}")


class SamplingSettings(Section):
    """How much of a stream is judged."""

    judged_per_second: Annotated[float, Field(gt=0, le=240)] | None = Field(
        default=None, description="Judge no more frames of it in a second; default: as many as there is time for."
    )
    detect_every: Annotated[int, Field(ge=1, le=250)] = Field(
        default=5, description="Look for new faces on every so many judged frames; more under load."
    )


class StreamSettings(Section):
    """A stream that is watched from the start."""

    name: str = Field(pattern=STREAM_NAME, description="Unique: in URLs, events and alerts.")
    source: Location = Field(
        description="URL, path or `camera:N`, as for `streamguard watch`.", examples=["rtsp://camera.example/live"]
    )
    source_file: Path | None = secret_file("source")
    token: SecretStr | None = Field(default=None, description="Bearer token for the endpoint of a WHEP source.")
    token_file: Path | None = secret_file("token")
    transport: Literal["tcp", "udp"] = Field(default="tcp", description="What carries RTSP media.")
    hwaccel: Literal["off", "auto", "cuda", "vaapi", "qsv", "vdpau", "videotoolbox", "d3d11va"] = Field(
        default="off",
        description="Decode on a device; auto: the first one that is here. Software where there is none, or it does "
        "not take the codec. Not tried on a device yet.",
    )
    loop: bool = Field(default=True, description="A file starts over at its end.")
    verify_tls: bool = Field(
        default=True, description="https, rtsps and rtmps hosts must show a certificate that is trusted."
    )
    stall_seconds: Annotated[float, Field(ge=1, le=300)] = Field(
        default=10.0,
        description="So long without a new picture, and the source is taken for down and opened again.",
    )
    model: str | None = Field(default=None, description="Another detector than `engine.model` for this stream.")
    priority: Annotated[int, Field(ge=1, le=10)] = Field(
        default=1, description="Where there is not time for all, a stream of 2 is judged twice as often as one of 1."
    )
    sampling: SamplingSettings = Field(default_factory=SamplingSettings)
    outputs: list[Location] = Field(
        default_factory=list,
        description="Where it is sent on with its masks and its sound: rtsp, rtmp(s) and udp URLs, `.m3u8` (HLS) and "
        "`.ts` files (gone on with where they are there), folders; no two to the same place.",
    )
    rules: list[str] = Field(
        default_factory=list,
        description="Names of rules that hold for it. A rule that a stream names holds for no others, but for those "
        "that its own `streams` match.",
    )

    @field_validator("source")
    @classmethod
    def _opens(cls, source: Location) -> Location:
        check_source(source.get_secret_value())
        return source

    @field_validator("token")
    @classmethod
    def _fits_a_header(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and not re.fullmatch(r"[\x21-\x7e]+", token.get_secret_value()):
            raise ValueError("a token has printable ASCII characters without spaces")
        return token

    @field_validator("outputs")
    @classmethod
    def _targets(cls, outputs: list[Location]) -> list[Location]:
        for output in outputs:
            check_output(output.get_secret_value())
        return outputs


class RuleSettings(Rule):
    """Who is told what: a webhook that the file looks after."""

    model_config = Section.model_config

    name: str = Field(pattern=STREAM_NAME, description="Unique.")
    url: Location = Field(
        description="Where messages go; https unless `alerts.allow_http`.", examples=["https://news.example/hook"]
    )
    url_file: Path | None = secret_file("url")
    secret: SecretStr = Field(
        description="Signs them: `whsec_` and base64 of 24 to 64 random bytes.", examples=["whsec_" + "A" * 32]
    )
    secret_file: Path | None = secret_file("secret")
    format: Literal["streamguard", "cloudevents", "ms-graph"] = Field(
        default="streamguard", description="How messages are written."
    )

    @field_validator("url")
    @classmethod
    def _web(cls, url: Location) -> Location:
        _check_host(url.get_secret_value(), ("https", "http"))
        return url

    @field_validator("secret")
    @classmethod
    def _standard(cls, secret: SecretStr) -> SecretStr:
        if not _SECRET.fullmatch(secret.get_secret_value()):
            raise ValueError("a webhook secret is `whsec_` and the base64 of 24 to 64 random bytes")
        return secret


def subscribed(rule: RuleSettings, streams: Iterable[StreamSettings]) -> Rule:
    """The rule as a subscription has it.

    Args:
        rule: as configured.
        streams: all that are configured; those that name the rule are added to its patterns, and stand in for
            the pattern `*`.
    """
    named = [stream.name for stream in streams if rule.name in stream.rules]
    patterns = [pattern for pattern in rule.streams if pattern != "*" or not named]
    values = {field: getattr(rule, field) for field in Rule.model_fields}
    return Rule.model_validate({**values, "streams": tuple(dict.fromkeys([*patterns, *named]))})


def check_source(source: str) -> None:
    """Whether the text can be a source; nothing is opened.

    Raises:
        ValueError: it is empty, no URL, or of a protocol that neither streamguard nor a plugin opens.
    """
    if not source.strip():
        raise ValueError("a source is a URL, a path or `camera:N`")
    scheme, separator, _ = source.partition("://")
    if not separator:
        if source.startswith("camera:") and not re.fullmatch(r"camera:\d+", source):
            raise ValueError(
                "a camera is named by its number, as `camera:0`; for a file of that name write `./camera:`"
            )
        return
    scheme = scheme.lower()
    if scheme in _HOSTED:
        _check_host(source, (scheme,))
    elif scheme not in _SCHEMES and scheme not in {point.name for point in metadata.entry_points(group=_PLUGINS)}:
        raise ValueError(f"the protocol `{scheme}` is not one of {', '.join(sorted(_SCHEMES))}")


def check_output(target: str) -> None:
    """Whether a stream can be sent on there; nothing is opened.

    Raises:
        ValueError: it is no such URL, and no such path.
    """
    # libav is loaded for who needs it.
    from streamguard.media.output import parse_target

    try:
        parse_target(target)
    except OutputError as error:
        raise ValueError(f"{error.thing}: {error.cause}; {error.remedy}") from None
    except OSError as error:
        raise ValueError(f"{redact(target)}: {error.strerror}") from None


def clashing_outputs(streams: Sequence[StreamSettings]) -> tuple[str, str, str] | None:
    """Two streams, or one twice, that would write over each other, and where; None where there are none."""
    named = [(stream.name, output.get_secret_value()) for stream in streams for output in stream.outputs]
    if not named:
        return None
    from streamguard.media.output import clash, parse_target

    found = clash([parse_target(output) for _, output in named])
    return (named[found[0]][0], named[found[1]][0], redact(named[found[1]][1])) if found else None


def missing_folders(streams: Iterable[StreamSettings]) -> Iterator[tuple[str, Path]]:
    """Streams, each with a folder of its outputs that is not there: they are down until it is."""
    for stream in streams:
        for output in stream.outputs:
            from streamguard.media.output import missing_folder, parse_target

            if (folder := missing_folder(parse_target(output.get_secret_value()))) is not None:
                yield stream.name, folder


def _check_host(url: str, schemes: tuple[str, ...]) -> None:
    wrong = f"write {schemes[0]}://host[:port]/path, what is special in a password as %XX"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(f"it is no URL: {wrong}") from None
    if parts.scheme.lower() not in schemes or not host or any(character.isspace() for character in parts.netloc):
        raise ValueError(f"it is no URL of that kind: {wrong}")

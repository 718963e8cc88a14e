"""The parts of the configuration that come in any number: streams, and rules of who is told what."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from streamguard.alerts.formats import PEOPLE
from streamguard.alerts.rules import Rule
from streamguard.config.section import STREAM_NAME, Location, Receiver, Section, is_web, secret_file
from streamguard.errors import OutputError, SubscriptionError, redact

_HOSTED = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https", "whep+http", "whep+https", "srt", "tcp"}) | {
    "janus+ws",
    "janus+wss",
}
_SCHEMES = _HOSTED | {"udp", "rtp", "file"}
_PLUGINS = ("streamguard.sources", "streamguard.rooms")
_SECRET = re.compile(r"whsec_[A-Za-z0-9+/]{32,86}={0,2}")


class SamplingSettings(Section):
    """Share of a stream that is judged."""

    judged_per_second: Annotated[float, Field(gt=0, le=240)] | None = Field(
        default=None, description="Judge no more frames of it in a second; default: as many as there is time for."
    )
    detect_every: Annotated[int, Field(ge=1, le=250)] = Field(
        default=5, description="Look for new faces on every so many judged frames; more under load."
    )


class RoomSettings(Section):
    """How the guard takes part in the conference room that is the stream's source."""

    display: Annotated[str, Field(min_length=1, max_length=64)] = Field(
        default="streamguard", description="The name it shows."
    )
    pin: SecretStr | None = Field(default=None, description="The room's.")
    pin_file: Path | None = secret_file("pin")
    api_secret: SecretStr | None = Field(default=None, description="What Janus' API asks of every client.")
    api_secret_file: Path | None = secret_file("api_secret")
    messages: bool = Field(default=True, description="Tell verdicts in the room, on a data channel.")
    view: bool = Field(default=False, description="Show all who are judged, with their masks, as a video in the room.")
    most_participants: Annotated[int, Field(ge=1, le=100)] = Field(
        default=12, description="Videos judged at a time; who comes later is named in the log and in the room."
    )
    substream: Annotated[int, Field(ge=0, le=2)] = Field(
        default=2,
        description="Of simulcast: 2 is the largest picture, in which a face has most to see; 0 the smallest.",
    )


class StreamSettings(Section):
    """A stream that is watched from the start."""

    name: str = Field(pattern=STREAM_NAME, description="Unique: in URLs, events and alerts.")
    source: Location = Field(
        description="URL, path or `camera:N`, as for `streamguard watch`; or a conference room, "
        "`janus+ws://host:8188/ROOM`: each participant in it is a stream `name/participant`.",
        examples=["rtsp://camera.example/live"],
    )
    source_file: Path | None = secret_file("source")
    token: SecretStr | None = Field(
        default=None, description="Bearer token for the endpoint of a WHEP source; or that of a conference room."
    )
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
    room: RoomSettings = Field(default_factory=RoomSettings)
    outputs: list[Location] = Field(
        default_factory=list,
        description="Where it is sent on with its masks and its sound: rtsp, rtmp(s) and udp URLs, `.m3u8` (HLS) and "
        "`.ts` files (an existing one is appended to), folders; no two to the same place.",
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
    """A webhook, or a notice to people, managed by the file: whom to alert, and of what."""

    model_config = Section.model_config

    name: str = Field(pattern=STREAM_NAME, description="Unique.")
    url: Receiver = Field(
        description="Where messages go: https for a webhook (http where `alerts.allow_http`); else a notice to one "
        "person or channel, by a URL of Apprise (`mailtos://...`, `slack://...`; extra `notices`).",
        examples=["https://news.example/hook"],
    )
    url_file: Path | None = secret_file("url")
    secret: SecretStr | None = Field(
        default=None,
        description="Signs the messages of a webhook, which needs one: `whsec_` and base64 of 24 to 64 random bytes.",
        examples=["whsec_" + "A" * 32],
    )
    secret_file: Path | None = secret_file("secret")
    format: Literal["streamguard", "cloudevents", "ms-graph", "notice"] = Field(
        default="streamguard", description="How messages are written; of a notice it is `notice`, given or not."
    )

    @property
    def notice(self) -> bool:
        """Return whether it is for people."""
        return self.format == PEOPLE

    @model_validator(mode="before")
    @classmethod
    def _for_people(cls, data: Any) -> Any:
        url = data.get("url") if isinstance(data, dict) else None
        named = url.get_secret_value() if isinstance(url, Receiver) else url
        if not isinstance(named, str) or "://" not in named or is_web(named) or "format" in data:
            return data
        return {**data, "format": PEOPLE}

    @field_validator("url")
    @classmethod
    def _addressed(cls, url: Receiver) -> Receiver:
        text = url.get_secret_value()
        if is_web(text) or "://" not in text:
            _check_host(text, ("https", "http"))
        else:
            # Apprise takes a second to load: for who has notices.
            from streamguard.alerts.notices import check_notice

            try:
                check_notice(text)
            except SubscriptionError as error:
                raise ValueError(f"{error.cause}: {error.remedy}") from None
        return url

    @field_validator("secret")
    @classmethod
    def _standard(cls, secret: SecretStr | None) -> SecretStr | None:
        if secret is not None and not _SECRET.fullmatch(secret.get_secret_value()):
            raise ValueError("a webhook secret is `whsec_` and the base64 of 24 to 64 random bytes")
        return secret

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.notice == is_web(self.url.get_secret_value()):
            raise ValueError("format: `notice` is for URLs of Apprise, the others are for http and https")
        if self.notice and self.secret is not None:
            raise ValueError("secret: a notice is not signed; leave it out")
        if not self.notice and self.secret is None:
            raise ValueError("secret: a webhook needs one; make it with `echo whsec_$(openssl rand -base64 32)`")
        return self


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
    """Return whether the text can be a source; nothing is opened.

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
    elif scheme not in _SCHEMES and scheme not in _plugins():
        raise ValueError(f"the protocol `{scheme}` is not one of {', '.join(sorted(_SCHEMES))}")


def _plugins() -> set[str]:
    return {point.name for group in _PLUGINS for point in metadata.entry_points(group=group)}


def check_output(target: str) -> None:
    """Return whether a stream can be sent on there; nothing is opened.

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

"""The whole configuration, and what must fit together in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from streamguard.config.sections import AlertSettings, EngineSettings, EvidenceSettings, ServerSettings
from streamguard.config.streams import RuleSettings, StreamSettings, clashing_outputs

PREFIX = "STREAMGUARD_"
DELIMITER = "__"


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Values that are right each for itself, and wrong together.

    Attributes:
        keys: the keys concerned, the one to be told first.
        cause, remedy: as of an error.
    """

    keys: tuple[str, ...]
    cause: str
    remedy: str


class Config(BaseSettings):
    """How `streamguard serve` runs. Made by `read_config`; by itself it reads neither a file nor the environment."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=DELIMITER,
        # Of keys in the file; the environment's names are capitals.
        case_sensitive=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
    )

    server: ServerSettings = Field(default_factory=ServerSettings)
    engine: EngineSettings = Field(default_factory=EngineSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    evidence: EvidenceSettings = Field(default_factory=EvidenceSettings)
    streams: list[StreamSettings] = Field(default_factory=list, description="Streams that are watched from the start.")
    rules: list[RuleSettings] = Field(default_factory=list, description="Who is told what.")

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource, *_: Any, **__: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Its arguments only."""
        return (init_settings,)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if found := tuple(contradictions(self)):
            told = "; ".join(each.cause for each in found)
            raise PydanticCustomError("contradiction", "{told}", {"told": told, "found": found})
        return self


def contradictions(config: Config) -> Iterator[Contradiction]:
    """What does not fit together."""
    server, alerts, evidence = config.server, config.alerts, config.evidence
    if not server.tokens and not server.loopback_only:
        cause = f"listening on {server.host} needs a token: anybody in that network could watch the streams"
        remedy = "add `[[server.tokens]]`, or listen on 127.0.0.1"
        yield Contradiction(("server.tokens", "server.listen"), cause, remedy)
    alike = Counter(entry.token.get_secret_value() for entry in server.tokens)
    if places := [place for place, entry in enumerate(server.tokens) if alike[entry.token.get_secret_value()] > 1]:
        cause = f"entries {', '.join(map(str, places))} hold the same token: nobody knows which scopes it has"
        yield Contradiction(("server.tokens",), cause, "make one for each: `openssl rand -hex 24`")
    if evidence.enabled and not alerts.enabled:
        cause = "evidence belongs to alerts: evidence.enabled needs alerts.enabled"
        yield Contradiction(("evidence.enabled", "alerts.enabled"), cause, "switch both on or both off")
    if evidence.enabled and server.public_url is None and server.host in {"0.0.0.0", "::"}:
        cause = "links to evidence need public_url, the address that others reach this server by"
        yield Contradiction(("server.public_url", "evidence.enabled", "server.listen"), cause, "set server.public_url")
    if config.rules and not alerts.enabled:
        cause = "rules belong to alerts, which are switched off"
        yield Contradiction(("rules", "alerts.enabled"), cause, "set alerts.enabled = true, or remove the rules")
    if len(config.streams) > server.max_streams:
        cause = f"{len(config.streams)} streams are more than server.max_streams, {server.max_streams}"
        yield Contradiction(("streams", "server.max_streams"), cause, "raise it, or remove streams")
    yield from _between_streams(config)


def _between_streams(config: Config) -> Iterator[Contradiction]:
    """What does not fit together in streams and rules."""
    for kind, names in (("stream", [each.name for each in config.streams]), ("rule", [r.name for r in config.rules])):
        for name, count in Counter(names).items():
            if count > 1:
                cause = f"{count} {kind}s have the same name, `{name}`"
                yield Contradiction((f"{kind}s.{name}.name",), cause, "name each differently")
    if (clash := clashing_outputs(config.streams)) is not None:
        one, other, place = clash
        both = f"`{one}` and `{other}`" if one != other else f"`{one}` twice"
        cause = f"two outputs lead to the same place, {place}: {both}"
        yield Contradiction((f"streams.{other}.outputs", f"streams.{one}.outputs"), cause, "give each its own")
    rules = {rule.name for rule in config.rules}
    for stream in config.streams:
        for name in stream.rules:
            if name not in rules:
                known = f"choose from {', '.join(sorted(rules))}" if rules else "add it as `[[rules]]`"
                yield Contradiction((f"streams.{stream.name}.rules", "rules"), f"there is no rule `{name}`", known)

"""The whole configuration, and what must fit together in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from streamguard.config.sections import (
    AlertSettings,
    CheckSettings,
    ClusterSettings,
    EngineSettings,
    EvidenceSettings,
    ServerSettings,
)
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
    """Settings of `streamguard serve`. Made by `read_config`; by itself it reads neither a file nor the environment."""

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
    checks: CheckSettings = Field(default_factory=CheckSettings)
    cluster: ClusterSettings = Field(default_factory=ClusterSettings)
    streams: list[StreamSettings] = Field(default_factory=list, description="Streams that are watched from the start.")
    rules: list[RuleSettings] = Field(default_factory=list, description="Subscriptions: receivers and their events.")

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
    """Return the settings that contradict each other."""
    server, alerts, evidence = config.server, config.alerts, config.evidence
    if not server.guarded and not server.loopback_only:
        cause = f"listening on {server.host} needs a token: anybody in that network could watch the streams"
        remedy = "add `[[server.tokens]]`, or listen on 127.0.0.1"
        yield Contradiction(("server.tokens", "server.listen"), cause, remedy)
    if server.grants and server.openid is None and server.proxy_sign_on is None:
        cause = "grants are for those whom a provider or a proxy signs on, and there is neither"
        yield Contradiction(("server.grants",), cause, "add `[server.openid]` or `[server.proxy_sign_on]`")
    if not server.grants and server.openid is not None:
        cause = "nobody whom the OpenID provider signs on may do anything"
        yield Contradiction(("server.openid", "server.grants"), cause, "add `[[server.grants]]`")
    if not server.grants and server.proxy_sign_on is not None:
        cause = "nobody whom the proxy signs on may do anything"
        yield Contradiction(("server.proxy_sign_on", "server.grants"), cause, "add `[[server.grants]]`")
    alike = Counter(entry.token.get_secret_value() for entry in server.tokens)
    if places := [place for place, entry in enumerate(server.tokens) if alike[entry.token.get_secret_value()] > 1]:
        cause = f"entries {', '.join(map(str, places))} hold the same token: nobody knows which scopes it has"
        yield Contradiction(("server.tokens",), cause, "make one for each: `openssl rand -hex 24`")
    named = Counter(entry.name for entry in server.tokens if entry.name is not None)
    if twice := [name for name, count in named.items() if count > 1]:
        cause = f"tokens have the same name, `{twice[0]}`: nobody knows who did what"
        yield Contradiction(("server.tokens",), cause, "name each differently")
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
    """Return the streams and rules that contradict each other."""
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
        if stream.outputs and stream.source.get_secret_value().lower().startswith(("janus+ws://", "janus+wss://")):
            cause = f"`{stream.name}` is a conference room: its participants cannot be sent on"
            yield Contradiction((f"streams.{stream.name}.outputs",), cause, "remove outputs; see room.view")
        for name in stream.rules:
            if name not in rules:
                known = f"choose from {', '.join(sorted(rules))}" if rules else "add it as `[[rules]]`"
                yield Contradiction((f"streams.{stream.name}.rules", "rules"), f"there is no rule `{name}`", known)

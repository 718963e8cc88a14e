"""Settings of `streamguard serve`: a TOML file, over it the environment, over that the command line."""

from __future__ import annotations

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from streamguard.errors import ConfigError

STREAM_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Scope = Literal["publish", "view", "admin"]
_SHORTEST_TOKEN = 16


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenSettings(_Section):
    """One bearer token and what it opens."""

    token: SecretStr = Field(description="At least 16 characters.")
    scopes: frozenset[Scope] = Field(
        min_length=1,
        description="publish: send streams, and see one's own; view: see all streams; admin: everything.",
    )

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr) -> SecretStr:
        value = token.get_secret_value()
        if len(value) < _SHORTEST_TOKEN or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(f"a token has at least {_SHORTEST_TOKEN} printable ASCII characters without spaces")
        return token


class IceServerSettings(_Section):
    """A STUN or TURN server, for this server and for its clients."""

    urls: list[str] = Field(min_length=1, description="stun:, stuns:, turn: or turns: URLs (RFC 7064, RFC 7065).")
    username: str | None = None
    credential: SecretStr | None = None

    @field_validator("urls")
    @classmethod
    def _schemes(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not re.fullmatch(r"(stuns?|turns?):[^\s<>\",;]+", url):
                raise ValueError(f"`{url}` is no stun:, stuns:, turn: or turns: URL")
        return urls


class StreamSettings(_Section):
    """A stream that is watched from the start."""

    name: str = Field(pattern=STREAM_NAME)
    source: str = Field(min_length=1, description="As for `streamguard watch`.")
    transport: Literal["tcp", "udp"] = "tcp"
    loop: bool = Field(default=True, description="A file starts over at its end.")


class AlertSettings(_Section):
    """Webhooks. Servers that share a folder or a database share subscriptions, events and deliveries."""

    enabled: bool = Field(default=True, description="Keep events, and send them to who subscribed.")
    folder: Path | None = Field(
        default=None,
        description="Where database, key and evidence lie. Default: `streamguard` in the user's state folder "
        "(`XDG_STATE_HOME`, else `~/.local/state`).",
    )
    database: SecretStr | None = Field(
        default=None, description="`postgresql://user:password@host/name`; default: `alerts.db` (SQLite) in the folder."
    )
    key_file: Path | None = Field(
        default=None, description="Seals secrets, signs evidence; made on first use. Default: `alerts.key` there."
    )
    allow_networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = Field(
        default_factory=list, description="Private networks that webhooks may go to, as `10.0.0.0/8`."
    )
    allow_http: bool = Field(default=False, description="Webhooks may go to http://, unencrypted.")
    ca_file: Path | None = Field(default=None, description="PEM file of certificates trusted beside the system's.")
    keep_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        default=30.0, description="How long events and finished deliveries are kept, for the log and for replays."
    )

    @property
    def place(self) -> Path:
        """The folder, absolute.

        Raises:
            ConfigError: none is named, and there is no home.
        """
        if self.folder is not None:
            return self.folder.absolute()
        named = Path(os.environ.get("XDG_STATE_HOME", ""))
        try:
            return (named if named.is_absolute() else Path.home() / ".local" / "state") / "streamguard"
        except RuntimeError:
            remedy = "set alerts.folder, or alerts.enabled = false"
            raise ConfigError("alerts.folder", "there is no home to keep alerts in", remedy) from None


class EvidenceSettings(_Section):
    """What is kept of an opened alert: faces are personal data, so nothing unless it is switched on."""

    enabled: bool = Field(default=False, description="Keep pictures and a clip of each face that is held for fake.")
    clip_seconds: Annotated[float, Field(ge=0, le=120)] = Field(
        default=15.0, description="Seconds before the alert that are kept of a fetched stream; 0 for no clip."
    )
    clip_megabytes: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=32, description="Memory for these seconds, per stream."
    )
    keep_days: Annotated[float, Field(gt=0, le=3650)] = Field(default=30.0, description="Older evidence is removed.")
    keep_gigabytes: Annotated[float, Field(gt=0)] = Field(
        default=10.0, description="Beyond this the oldest evidence is removed."
    )
    link_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        default=7.0, description="How long the links in an alert hold; no longer than the evidence."
    )


class ServerSettings(BaseSettings):
    """How `streamguard serve` runs. Environment: `STREAMGUARD_` and the name in capitals; lists as JSON."""

    model_config = SettingsConfigDict(env_prefix="STREAMGUARD_", extra="forbid", frozen=True)

    host: str = Field(default="127.0.0.1", description="Address to listen on; other than loopback needs a token.")
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    tokens: list[TokenSettings] = Field(default_factory=list)
    tls_certificate: Path | None = Field(default=None, description="PEM file with the certificate chain.")
    tls_key: Path | None = Field(default=None, description="PEM file with the private key.")
    ice_servers: list[IceServerSettings] = Field(default_factory=list)
    streams: list[StreamSettings] = Field(default_factory=list)
    model: str = "unet_lite0"
    engine: str | None = None
    sinks: list[str] = Field(default_factory=list, description="Plugins that get every event.")
    max_sessions: Annotated[int, Field(ge=1)] = Field(default=100, description="WHIP and WHEP sessions together.")
    max_streams: Annotated[int, Field(ge=1)] = 32
    connect_timeout: Annotated[float, Field(gt=0)] = Field(
        default=20.0, description="Seconds a new session has until media flows."
    )
    allow_local_sources: bool | None = Field(
        default=None,
        description="Streams added over the API may be files, cameras, and hosts in private or loopback networks. "
        "Default: only where no token is configured, that is on loopback.",
    )
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Further names this server is reached by, where no token is configured."
    )
    allowed_origins: list[str] = Field(
        default_factory=list, description="Web pages of other origins that may call the API (CORS)."
    )
    public_url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?$")] | None = Field(
        default=None, description="Where others reach this server, for links to evidence; default: where it listens."
    )
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    evidence: EvidenceSettings = Field(default_factory=EvidenceSettings)
    event_capacity: Annotated[int, Field(ge=1)] = Field(default=10_000, description="Events kept in memory.")
    snapshot_capacity: Annotated[int, Field(ge=0)] = Field(default=200, description="Alert pictures kept in memory.")
    drain_timeout: Annotated[float, Field(gt=0)] = Field(default=10.0, description="Seconds to end in good order.")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        if not self.tokens and not self.loopback_only:
            raise ValueError(f"listening on {self.host} needs a token: anybody in that network could watch the streams")
        if self.evidence.enabled and not self.alerts.enabled:
            raise ValueError("evidence belongs to alerts: evidence.enabled needs alerts.enabled")
        if self.evidence.enabled and self.public_url is None and self.host in {"0.0.0.0", "::", ""}:
            raise ValueError("links to evidence need public_url, the address that others reach this server by")
        names = [stream.name for stream in self.streams]
        if len(set(names)) != len(names):
            raise ValueError("two streams have the same name")
        if len(names) > self.max_streams:
            raise ValueError(f"{len(names)} streams are more than max_streams, {self.max_streams}")
        return self

    @property
    def loopback_only(self) -> bool:
        """Whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def local_sources(self) -> bool:
        """Whether the API may name files, cameras and private addresses."""
        return not self.tokens if self.allow_local_sources is None else self.allow_local_sources


def read_settings(path: Path | None = None, **overrides: Any) -> ServerSettings:
    """The settings from a TOML file and the environment.

    Args:
        path: the file; None for the environment and the defaults only.
        overrides: values that go before both; None is none.

    Raises:
        ConfigError: the file cannot be read, or a value is wrong; it names the key, never a secret value.
    """
    thing = str(path) if path else "settings"
    values: dict[str, Any] = {}
    if path is not None:
        try:
            values = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(thing, "it cannot be read", "check the path") from error
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(thing, f"it is no TOML ({error})", "correct it") from error
    given = {key: value for key, value in overrides.items() if value is not None}

    class Layered(ServerSettings):
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *sources: PydanticBaseSettingsSource, **named: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return named["init_settings"], named["env_settings"], InitSettingsSource(settings_cls, values)

    try:
        return Layered(**given)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        cause = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{thing}, {place}" if place else thing, cause, "correct the value") from None

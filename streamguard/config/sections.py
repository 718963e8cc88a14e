"""The parts of the configuration that hold for the whole server."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyNetwork, Secret, SecretStr, field_validator

from streamguard.errors import ConfigError, redact

STREAM_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
Scope = Literal["publish", "view", "admin"]
_SHORTEST_TOKEN = 16
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})")


class Location(Secret[str]):
    """A URL or path with a password perhaps: shown with its secrets hidden."""

    def _display(self) -> str:
        return redact(self.get_secret_value())


def _secret_or_its_file(schema: dict[str, Any]) -> None:
    """In the schema, a secret that is needed may be given as `NAME_file` instead."""
    either = [name for name in schema.get("required", ()) if f"{name}_file" in schema["properties"]]
    if either:
        schema["required"] = [name for name in schema["required"] if name not in either]
        schema["allOf"] = [{"oneOf": [{"required": [name]}, {"required": [f"{name}_file"]}]} for name in either]


class Section(BaseModel):
    """Base of every part: unknown keys are refused, nothing can be changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_secret_or_its_file
    )


def secret_file(of: str) -> Any:
    """The field beside a secret that names a file with it."""
    return Field(default=None, description=f"File that holds `{of}`, in its place.")


class TokenSettings(Section):
    """One bearer token and what it opens."""

    token: SecretStr = Field(description="At least 16 characters: `openssl rand -hex 24`.", examples=["x" * 16])
    token_file: Path | None = secret_file("token")
    scopes: frozenset[Scope] = Field(
        min_length=1,
        examples=[["view"]],
        description="publish: send streams, and see one's own; view: see all streams; admin: everything.",
    )

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr) -> SecretStr:
        value = token.get_secret_value()
        if len(value) < _SHORTEST_TOKEN or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(f"a token has at least {_SHORTEST_TOKEN} printable ASCII characters without spaces")
        return token


class IceServerSettings(Section):
    """A STUN or TURN server, for this server and for its clients."""

    urls: list[str] = Field(min_length=1, description="stun:, stuns:, turn: or turns: URLs (RFC 7064, RFC 7065).")
    username: str | None = Field(default=None, description="For TURN.")
    credential: SecretStr | None = Field(default=None, description="For TURN.")
    credential_file: Path | None = secret_file("credential")

    @field_validator("urls")
    @classmethod
    def _schemes(cls, urls: list[str]) -> list[str]:
        for url in urls:
            if not re.fullmatch(r"(stuns?|turns?):[^\s<>\",;]+", url):
                raise ValueError(f"`{url}` is no stun:, stuns:, turn: or turns: URL")
        return urls


class TlsSettings(Section):
    """Without it, put a reverse proxy in front before tokens cross a network."""

    certificate: Path = Field(description="PEM file with the certificate chain.")
    key: Path = Field(description="PEM file with the private key.")


class ServerSettings(Section):
    """Where the server listens, who may do what, and how much."""

    listen: str = Field(
        default="127.0.0.1:8080",
        description="`host:port`, `[address]:port` for IPv6; port 0 takes a free one. Elsewhere than on loopback "
        "only with a token.",
    )
    tls: TlsSettings | None = Field(default=None, description="Serve https.")
    tokens: list[TokenSettings] = Field(
        default_factory=list, description="None: everybody on this machine may do everything."
    )
    ice_servers: list[IceServerSettings] = Field(default_factory=list, description="STUN and TURN servers.")
    sinks: list[str] = Field(default_factory=list, description="Plugins that get every event.")
    max_sessions: Annotated[int, Field(ge=1)] = Field(
        default=100, description="WHIP and WHEP sessions together; beyond: 503 with `Retry-After`."
    )
    max_streams: Annotated[int, Field(ge=1)] = Field(default=32, description="Streams; beyond: 503.")
    admission: Literal["measured", "off"] = Field(
        default="measured",
        description="measured: a stream with which any would be judged less than once a second on this machine is "
        "refused (503 with `Retry-After`), those of the file are taken with a warning; off: only `max_streams` counts.",
    )
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
    event_capacity: Annotated[int, Field(ge=1)] = Field(default=10_000, description="Events kept in memory.")
    snapshot_capacity: Annotated[int, Field(ge=0)] = Field(default=200, description="Alert pictures kept in memory.")
    drain_timeout: Annotated[float, Field(gt=0)] = Field(default=10.0, description="Seconds to end in good order.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="On stderr.")
    log_format: Literal["json", "text"] = Field(default="json", description="text: for people.")

    @field_validator("listen")
    @classmethod
    def _address(cls, listen: str) -> str:
        found = _LISTEN.fullmatch(listen)
        if found is None or int(found[2]) > 65535:
            raise ValueError("write `host:port` or `[IPv6 address]:port`, with a port of 0 to 65535")
        return listen

    @property
    def host(self) -> str:
        """The host of `listen`, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of `listen`; 0 takes a free one."""
        return int(self.listen.rpartition(":")[2])

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


class EngineSettings(Section):
    """What judges."""

    model: str = Field(default="unet_lite0", description="Detector, as named by `streamguard doctor`, or its folder.")
    engine: str | None = Field(default=None, description="Inference engine; default: the best one here.")
    threads: Annotated[int, Field(ge=1, le=256)] = Field(
        default=2, description="CPU threads that find faces and apply the frame rule, of all streams together."
    )
    cache: Path | None = Field(
        default=None, description="Folder of compiled engines; default: beside the weights, else in the user's cache."
    )


class AlertSettings(Section):
    """Webhooks. Servers that share a folder or a database share subscriptions, rules, events and deliveries."""

    enabled: bool = Field(default=True, description="Keep events, and send them to who subscribed.")
    folder: Path | None = Field(
        default=None,
        description="Where database, key and evidence lie. Default: `streamguard` in the user's state folder "
        "(`XDG_STATE_HOME`, else `~/.local/state`).",
    )
    database: Location | None = Field(
        default=None,
        description="`postgresql://user:password@host/name` or `sqlite:///path`; default: `alerts.db` (SQLite) in "
        "the folder.",
    )
    database_file: Path | None = secret_file("database")
    key_file: Path | None = Field(
        default=None, description="Seals secrets, signs evidence; made on first use. Default: `alerts.key` there."
    )
    allow_networks: list[IPvAnyNetwork] = Field(
        default_factory=list, description="Private networks that webhooks may go to, as `10.0.0.0/8`."
    )
    allow_http: bool = Field(default=False, description="Webhooks may go to http://, unencrypted.")
    ca_file: Path | None = Field(default=None, description="PEM file of certificates trusted beside the system's.")
    keep_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        default=30.0, description="How long events and finished deliveries are kept, for the log and for replays."
    )

    @field_validator("database")
    @classmethod
    def _opens(cls, database: Location | None) -> Location | None:
        if database is not None:
            # The database's library is loaded for who needs it.
            from streamguard.alerts.database import read_url

            try:
                read_url(database.get_secret_value())
            except ConfigError as error:
                # Not the text: a file with another secret may have been named.
                raise ValueError(f"{error.cause}: {error.remedy}") from None
        return database

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


class EvidenceSettings(Section):
    """What is kept of an opened alert: faces are personal data, so nothing unless it is switched on."""

    enabled: bool = Field(default=False, description="Keep pictures and a clip of each face that is held for fake.")
    folder: Path | None = Field(default=None, description="Where it lies. Default: `evidence` in `alerts.folder`.")
    clip_seconds: Annotated[float, Field(ge=0, le=120)] = Field(
        default=15.0, description="Seconds before the alert that are kept of a stream; 0 for no clip."
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

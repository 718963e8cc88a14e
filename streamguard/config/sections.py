"""The parts of the configuration that hold for the whole server."""

from __future__ import annotations

import ipaddress
import os
import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator

from streamguard.config.mqtt import MqttSettings
from streamguard.config.section import Location, Section, secret_file
from streamguard.config.sign_on import GrantSettings, OpenIdSettings, ProxySignOnSettings, TokenSettings
from streamguard.errors import ConfigError

_PORTS = {"http": 80, "https": 443}
_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]/]+):([0-9]{1,5})")


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
    """Certificate and key. Without them, put a reverse proxy in front before tokens cross a network."""

    certificate: Path = Field(description="PEM file with the certificate chain.")
    key: Path = Field(description="PEM file with the private key.")


class ServerSettings(Section):
    """Address, access and limits of the server."""

    listen: str = Field(
        default="127.0.0.1:8080",
        description="`host:port`, `[address]:port` for IPv6; port 0 takes a free one. Elsewhere than on loopback "
        "only with a token.",
    )
    tls: TlsSettings | None = Field(default=None, description="Serve https.")
    tokens: list[TokenSettings] = Field(
        default_factory=list, description="None, and no other sign-on: everybody on this machine may do everything."
    )
    openid: OpenIdSettings | None = Field(default=None, description="Take tokens of an OpenID provider.")
    proxy_sign_on: ProxySignOnSettings | None = Field(
        default=None, description="Take the word of a reverse proxy for who somebody is."
    )
    grants: list[GrantSettings] = Field(
        default_factory=list, description="What groups and scopes open, of provider and proxy."
    )
    mqtt: MqttSettings | None = Field(default=None, description="Tell a broker how the streams do.")
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
        "Default: only where callers are not told apart, that is on loopback.",
    )
    allowed_hosts: list[str] = Field(
        default_factory=list, description="Further names this server is reached by, where no token is configured."
    )
    allowed_origins: list[str] = Field(
        default_factory=list,
        description="Origins of other web pages that may call the API (CORS), as `https://news.example`.",
    )
    trusted_proxies: list[IPvAnyNetwork] = Field(
        default_factory=list,
        description="Networks of reverse proxies whose `X-Forwarded-For` says who asks, for the log and the limit of "
        "failed log-ins.",
    )
    public_url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~/-]*)?$")] | None = Field(
        default=None, description="Where others reach this server, for links to evidence; default: where it listens."
    )
    snapshot_capacity: Annotated[int, Field(ge=0)] = Field(
        default=200, description="Alert pictures kept in memory, beside those of the evidence."
    )
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

    @field_validator("allowed_origins")
    @classmethod
    def _origins(cls, origins: list[str]) -> list[str]:
        return [_origin(origin) for origin in origins]

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
        """Return whether only this machine can connect."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def guarded(self) -> bool:
        """Return whether callers are told apart, by tokens or by another's word."""
        return bool(self.tokens) or self.openid is not None or self.proxy_sign_on is not None

    @property
    def local_sources(self) -> bool:
        """Return whether the API may name files, cameras and private addresses."""
        return not self.guarded if self.allow_local_sources is None else self.allow_local_sources


def _origin(text: str) -> str:
    """The origin as browsers send it (RFC 6454, 6.2)."""
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
        if not scheme or not host or parts.username is not None or text.partition("://")[2].strip("/") != parts.netloc:
            raise ValueError
        # UnicodeError is a ValueError.
        name = f"[{host}]" if ":" in host else host.encode("idna").decode()
    except ValueError:
        remedy = "write `https://host` or `https://host:port` for each page's origin; `*` and `null` are not taken"
        raise ValueError(f"`{text}` is no origin: {remedy}") from None
    return f"{scheme}://{name}" + ("" if port in {None, _PORTS.get(scheme)} else f":{port}")


class EngineSettings(Section):
    """Detector and engine."""

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

    enabled: bool = Field(
        default=True,
        description="Keep events, incidents and streams added over the API, and send events to who subscribed. "
        "Without: the newest 10,000 events and incidents in memory, until the server ends.",
    )
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
    notice_pictures: bool = Field(
        default=False,
        description="Attach the evidence's picture to notices, where the service takes one. Without: its link.",
    )
    ca_file: Path | None = Field(default=None, description="PEM file of certificates trusted beside the system's.")
    keep_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        default=30.0, description="How long events, closed incidents and finished deliveries are kept."
    )
    audit_days: Annotated[float, Field(gt=0, le=3650)] = Field(
        default=365.0, description="How long it is kept who looked at or erased evidence, and who changed what."
    )
    incident_gap_seconds: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=60.0,
        description="A fake that opens within so many seconds after the closing of an incident of its stream, while "
        "that one's face is not in sight, is the same person: it takes the incident up again.",
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
        return _place(self.folder, "alerts")


class CheckSettings(Section):
    """Files that people upload to have them judged: on disk until then, and removed at once afterwards."""

    enabled: bool = Field(default=True, description="Take files; needs the scope `publish`.")
    folder: Path | None = Field(
        default=None, description="Where they lie. Default: `streamguard/checks` in the user's state folder."
    )
    max_megabytes: Annotated[int, Field(ge=1, le=1024 * 1024)] = Field(
        default=2048, description="The largest file that is taken; beyond: 413."
    )
    max_minutes: Annotated[float, Field(gt=0, le=24 * 60)] = Field(
        default=60.0,
        description="The longest video that is judged; at sizes and rates beyond Full HD at 60 pictures a second, a "
        "shorter one.",
    )
    max_megapixels: Annotated[float, Field(gt=0, le=67)] = Field(
        default=50.0, description="The largest picture that is judged; no side exceeds 8192."
    )
    at_once: Annotated[int, Field(ge=1, le=16)] = Field(
        default=1, description="Files judged at a time, each while no frame of a live stream is, but for one a second."
    )
    waiting: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=8, description="Files that are being uploaded or wait for their turn; beyond: 503 with `Retry-After`."
    )
    trust_file: Path | None = Field(
        default=None,
        description="PEM file of authorities that vouch for signers of Content Credentials, in files and in reports of "
        "incidents; without, a signature that holds is told as unchecked.",
    )
    keep_hours: Annotated[float, Field(gt=0, le=24 * 365)] = Field(
        default=24.0, description="How long a result is kept; no longer than the server runs."
    )

    @property
    def place(self) -> Path:
        """The folder, absolute.

        Raises:
            ConfigError: none is named, and there is no home.
        """
        return self.folder.absolute() if self.folder is not None else _place(None, "checks") / "checks"


class ClusterSettings(Section):
    """Many machines that share `alerts.database`, a PostgreSQL. One machine by itself needs none of it."""

    host: str | None = Field(
        default=None,
        description="Address that a worker listens on, reached by front doors and viewers; default: its node's.",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        default=0, description="Port of a worker; 0 takes a free one. The second worker of a node takes the next."
    )
    worker_url: str | None = Field(
        default=None,
        description="How clients reach a worker, with `{host}` and `{port}` in it; default: as it listens.",
        examples=["https://{host}:{port}"],
    )
    domain: str | None = Field(
        default=None,
        description="What fails together with a node, as its rack or zone; streams are spread over these. Default: the "
        "node's label `ray.io/availability-zone`, else the node by itself.",
    )
    lease_seconds: Annotated[float, Field(ge=2, le=60)] = Field(
        default=5.0, description="So long without a word, and a worker's streams go to others."
    )
    alone_seconds: Annotated[float, Field(ge=5, le=3600)] = Field(
        default=90.0,
        description="How long a worker judges on that cannot reach the database; its events wait in memory.",
    )
    signalling: Literal["redirect", "proxy"] = Field(
        default="redirect",
        description="How the front door answers WHIP, WHEP and HLS: redirect: 307 to the worker (browsers are proxied "
        "all the same, as they would leave their token behind); proxy: it passes them on itself.",
    )


class EvidenceSettings(Section):
    """Evidence kept of an opened alert. Faces are personal data: nothing is kept unless it is switched on."""

    enabled: bool = Field(default=False, description="Keep pictures and a clip of each face that is called fake.")
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


def _place(folder: Path | None, section: str) -> Path:
    """A section's folder, absolute; where none is named, that of the user's state."""
    if folder is not None:
        return folder.absolute()
    named = Path(os.environ.get("XDG_STATE_HOME", ""))
    try:
        return (named if named.is_absolute() else Path.home() / ".local" / "state") / "streamguard"
    except RuntimeError:
        remedy = f"set {section}.folder, or {section}.enabled = false"
        raise ConfigError(f"{section}.folder", f"there is no home to keep {section} in", remedy) from None

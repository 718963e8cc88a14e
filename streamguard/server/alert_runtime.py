"""Alerts and evidence of a running server: opened from its settings, looked after, closed."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ipaddress
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from streamguard.alerts import Alerts, NoticeOptions, TargetPolicy, key_of
from streamguard.alerts.evidence import EvidenceStore, LinkSigner, ManifestSigner
from streamguard.alerts.finishing import finished
from streamguard.alerts.keys import derived
from streamguard.channel import cancel_and_wait
from streamguard.config import AlertSettings, Config, EvidenceSettings
from streamguard.errors import ConfigError, StreamguardError
from streamguard.logs import get_logger
from streamguard.pipeline.guard import Guard
from streamguard.server.listening import trusting
from streamguard.streams.alert_feed import AlertRuntime
from streamguard.streams.evidence import EvidenceKeeper

log = get_logger("streamguard.alerts")
DAY = 86_400.0
EVERY = 600.0
"""Seconds between two looks for what is too old."""


@asynccontextmanager
async def alert_runtime(settings: Config, guard: Guard, url: str) -> AsyncIterator[AlertRuntime]:
    """Alerts for as long as the context lasts; at its end what was submitted is committed.

    Where they are switched off, events and incidents are kept in memory.

    Args:
        settings: where they lie and may go.
        guard: judges.
        url: where this server listens.

    Raises:
        ConfigError: folder, key, database URL or certificates cannot be used.
        OutboxError: the database cannot be opened.
    """
    if not settings.alerts.enabled:
        async with (
            Alerts.open(None, None) as alerts,
            _tidied(AlertRuntime(alerts, None, lasting=False), settings) as desk,
        ):
            yield desk
        return
    wanted, folder = settings.alerts, settings.alerts.place
    await asyncio.to_thread(_make, folder)
    key_file = wanted.key_file or folder / "alerts.key"
    database = wanted.database.get_secret_value() if wanted.database else f"sqlite:///{folder / 'alerts.db'}"
    base = settings.server.public_url or url
    own = await asyncio.to_thread(own_addresses, url, base, settings.server.allowed_hosts)
    targets = TargetPolicy(tuple(wanted.allow_networks), wanted.allow_http, own)
    async with contextlib.AsyncExitStack() as stack:
        evidence = picture = None
        if settings.evidence.enabled:
            key = await asyncio.to_thread(key_of, key_file)
            kept = settings.evidence.folder or folder / "evidence"
            evidence = _evidence(settings.evidence, kept, key, base, _digest(settings), guard)
            stack.push_async_callback(evidence.aclose)
            picture = evidence.store.read_link if wanted.notice_pictures else None
        notices = NoticeOptions(base, picture)
        tls = None if wanted.ca_file is None else trusting(wanted.ca_file)
        opening = Alerts.open(database, key_file, targets=targets, tls=tls, notices=notices)
        alerts = await stack.enter_async_context(opening)
        yield await stack.enter_async_context(_tidied(AlertRuntime(alerts, evidence), settings))


@asynccontextmanager
async def _tidied(desk: AlertRuntime, settings: Config) -> AsyncIterator[AlertRuntime]:
    tidying = asyncio.create_task(_tidy(desk, settings.alerts), name="alert retention")
    try:
        yield desk
    finally:
        await cancel_and_wait(tidying)


def own_addresses(url: str, public: str, names: Iterable[str]) -> frozenset[tuple[str, int]]:
    """(host, port) by which this server may be reached: a webhook to itself would go round in circles.

    Args:
        url: where it listens.
        public: where others reach it.
        names: further names it answers to.
    """
    listens, outside = urlsplit(url), urlsplit(public)
    port = listens.port or 0
    hosts = {listens.hostname or "", *(name.lower() for name in names)}
    if _own_machine(listens.hostname or ""):
        hosts |= {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", socket.gethostname().lower()}
        with contextlib.suppress(OSError):
            hosts |= {str(row[4][0]) for row in socket.getaddrinfo(socket.gethostname(), None)}
    found = {(host, port) for host in hosts if host}
    if outside.hostname:
        found.add((outside.hostname, outside.port or (443 if outside.scheme == "https" else 80)))
    return frozenset(found)


def _own_machine(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return True
    return address.is_loopback or address.is_unspecified


def _evidence(
    settings: EvidenceSettings, folder: Path, key: bytes, base: str, config: str, guard: Guard
) -> EvidenceKeeper:
    signer = ManifestSigner(derived(key, "evidence manifest"))
    store = EvidenceStore(
        folder,
        signer,
        LinkSigner(derived(key, "evidence link"), f"{base.rstrip('/')}/evidence"),
        max_age=settings.keep_days * DAY,
        max_bytes=round(settings.keep_gigabytes * 1024**3),
        link_age=settings.link_days * DAY,
    )
    return EvidenceKeeper(store, signer.public_key, config, guard.spec.threshold)


def _digest(settings: Config) -> str:
    """Return the hash of the configuration without its secrets, so that they cannot be guessed from it."""
    open_part = settings.model_dump_json(exclude={"server": {"tokens", "ice_servers"}, "streams": True, "rules": True})
    return hashlib.sha256(open_part.encode()).hexdigest()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        cause = f"alerts cannot be kept there ({error.strerror})"
        raise ConfigError(str(folder), cause, "set alerts.folder, or alerts.enabled = false") from None


async def _tidy(desk: AlertRuntime, settings: AlertSettings) -> None:
    while True:
        try:
            await finished(desk.tidy(settings.keep_days * DAY, settings.audit_days * DAY))
        except StreamguardError as error:
            log.warning("nothing could be removed", detail=str(error))
        except Exception:
            log.exception("nothing could be removed")
        await asyncio.sleep(EVERY)

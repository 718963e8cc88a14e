"""Checks before the start: faults that can be found without loading weights."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from streamguard.alerts import TargetPolicy, check_notice
from streamguard.config import Config, Loaded
from streamguard.config.keys import Path as Keys
from streamguard.config.keys import shown
from streamguard.errors import ConfigError, EngineUnavailable, StreamguardError
from streamguard.inference import find_factory
from streamguard.models import find
from streamguard.provenance import load_anchors
from streamguard.server.alert_runtime import own_addresses
from streamguard.server.signing_keys import SigningKeys
from streamguard.server.sinks import find_sink


async def preflight(loaded: Loaded) -> list[ConfigError]:
    """Return all faults for which `serve` would refuse a configuration.

    Names of receivers are not resolved, but for `localhost`: they may lead elsewhere when it starts.

    Returns:
        problems that name the key and where it is given, as `read_config` raises them.
    """
    config, found = loaded.config, []
    for path, look in _looks(config):
        try:
            look()
        except StreamguardError as error:
            found.append(_told(loaded, path, f"{error.thing}: {error.cause}", error.remedy))
    alerts, server = config.alerts, config.server
    if alerts.enabled and config.rules:
        here = f"http://{server.listen}"
        own = own_addresses(here, server.public_url or here, server.allowed_hosts)
        targets = TargetPolicy(tuple(alerts.allow_networks), alerts.allow_http, own, _known_without_asking)
        for place, rule in enumerate(config.rules):
            try:
                url = rule.url.get_secret_value()
                await (asyncio.to_thread(check_notice, url) if rule.notice else targets.check(url))
            except StreamguardError as error:
                # Without the thing: the path of a webhook's URL may be a secret.
                found.append(_told(loaded, ("rules", place, "url"), error.cause, error.remedy))
    return found


def _looks(config: Config) -> Iterator[tuple[Keys, Callable[[], Any]]]:
    """(path of a key, what raises an error where its value will not do)."""
    engine, alerts, evidence = config.engine, config.alerts, config.evidence
    yield ("engine", "model"), partial(find, engine.model)
    if engine.engine is not None:
        yield ("engine", "engine"), partial(_usable, engine.engine)
    for place, stream in enumerate(config.streams):
        if stream.model is not None:
            yield ("streams", place, "model"), partial(find, stream.model)
    for place, name in enumerate(config.server.sinks):
        yield ("server", "sinks", place), partial(find_sink, name)
    if config.server.mqtt is not None:
        from streamguard.server.mqtt import check_broker

        yield ("server", "mqtt"), partial(check_broker, config.server.mqtt)
    if config.server.openid is not None:
        yield ("server", "openid"), partial(SigningKeys, config.server.openid)
    if config.checks.trust_file is not None:
        yield ("checks", "trust_file"), partial(load_anchors, config.checks.trust_file)
    if alerts.enabled:
        yield ("alerts", "folder"), lambda: _can_be_made(alerts.place)
    folders = {("engine", "cache"): engine.cache, ("evidence", "folder"): evidence.folder if evidence.enabled else None}
    for path, folder in folders.items():
        if folder is not None:
            yield path, partial(_can_be_made, folder.absolute())


def _usable(engine: str) -> None:
    probe = find_factory(engine).probe()
    if not probe.available:
        raise EngineUnavailable(engine, probe.reason, "see `streamguard doctor` for the engines that work here")


def _can_be_made(folder: Path) -> None:
    """Raise an error where the folder is not there and cannot be made; what was made for the trial goes again."""
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        reason = None if os.access(folder, os.W_OK | os.X_OK) else "no right to write into it"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no path"
    for place in missing:
        try:
            place.rmdir()
        except (OSError, ValueError):
            # Never made, or other files were put into it.
            continue
    if reason is not None:
        raise ConfigError(str(folder), f"nothing can be kept there ({reason})", "name a folder that can be written to")


async def _known_without_asking(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
    flags = 0 if host.lower().rstrip(".") == "localhost" else socket.AI_NUMERICHOST
    asking = asyncio.get_running_loop().getaddrinfo
    return await asking(host, port, family=family, type=socket.SOCK_STREAM, flags=flags)


def _told(loaded: Loaded, path: Keys, cause: str, remedy: str) -> ConfigError:
    origin, key = loaded.layers.whereabouts(path), shown(path, loaded.layers.values)
    return ConfigError(f"{origin}, {key}" if origin else key, cause, remedy)

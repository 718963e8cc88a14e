"""Parts that all machines of a cluster share, by its settings."""

from __future__ import annotations

from pathlib import Path

from streamguard.alerts import Sealer, key_of
from streamguard.cluster.leases import LeaseTerms
from streamguard.cluster.store import check_shared
from streamguard.config import ClusterSettings, Config
from streamguard.errors import ConfigError


def terms_of(settings: ClusterSettings) -> LeaseTerms:
    """How patient a cluster of these settings is."""
    lost = settings.lease_seconds
    return LeaseTerms(beat=lost / 5, lost=lost, plan=lost / 5, gather=lost / 2, alone=settings.alone_seconds)


def shared_database(config: Config) -> str:
    """The URL of the database that the machines share.

    Raises:
        ConfigError: alerts are off, or it is no PostgreSQL.
    """
    if not config.alerts.enabled:
        cause = "a cluster keeps its streams in the database of the alerts, which are switched off"
        raise ConfigError("alerts.enabled", cause, "set alerts.enabled = true")
    url = config.alerts.database
    return check_shared(url.get_secret_value() if url is not None else None)


def shared_key(config: Config) -> Sealer:
    """Return the sealer of the streams' sources: with the key that every machine has.

    Raises:
        ConfigError: the file cannot be used.
    """
    return Sealer(key_of(shared_key_file(config)))


def shared_key_file(config: Config) -> Path:
    """The file with that key; where none is named, its folder is made.

    Raises:
        ConfigError: the folder cannot be made.
    """
    if config.alerts.key_file is not None:
        return config.alerts.key_file
    folder = config.alerts.place
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(str(folder), f"alerts cannot be kept there ({error.strerror})", "set alerts.folder") from None
    return folder / "alerts.key"

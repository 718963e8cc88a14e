"""Listening address: checked before anything is loaded."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

from streamguard.config import ServerSettings
from streamguard.errors import ConfigError, OutputError


def check_listening(settings: ServerSettings) -> None:
    """Try whether a server could listen there now.

    Raises:
        ConfigError: the TLS files cannot be used.
        OutputError: the address is taken or is not this machine's.
    """
    tls_context(settings)
    try:
        found = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, kind, protocol, _, address in found:
            with socket.socket(family, kind, protocol) as trial:
                # As asyncio does: what closed a moment ago is no hindrance.
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    trial.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                trial.bind(address)
                # Two may bind with that option; only one may listen.
                trial.listen(1)
    except OSError as error:
        raise cannot_listen(settings, error) from None


def cannot_listen(settings: ServerSettings, error: OSError) -> OutputError:
    """The error to raise where the system refused the address."""
    cause = f"cannot listen there ({error.strerror or error})"
    return OutputError(f"{settings.host}:{settings.port}", cause, "choose another host or port")


def tls_context(settings: ServerSettings) -> ssl.SSLContext | None:
    """The certificate and key to serve https with; None where that is not wanted.

    Raises:
        ConfigError: the files cannot be used.
    """
    if settings.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls.certificate, settings.tls.key)
    except (OSError, ssl.SSLError) as error:
        thing = f"{settings.tls.certificate}, {settings.tls.key}"
        cause = f"they cannot be used as certificate and key ({error.strerror or error})"
        raise ConfigError(thing, cause, "give PEM files that belong together") from None
    return context


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """The context of a client that trusts the system's authorities, and those of a PEM file beside them.

    Raises:
        ConfigError: the file holds no certificates that can be used.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ssl.SSLError) as error:
            cause = f"it holds no certificates that can be used ({error.strerror or error})"
            raise ConfigError(str(ca_file), cause, "give a PEM file") from None
    return context

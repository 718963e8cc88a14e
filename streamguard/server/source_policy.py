"""Which sources the API may name: a server must not be made to look into its own network (SSRF)."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit, urlunsplit

from streamguard.errors import redact
from streamguard.server.problems import Problem

_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "http", "https"})
_UNPINNED = frozenset({"https", "rtsps", "rtmps", "http"})
"""Schemes whose host name is needed for more than its address: TLS certificates, virtual hosts."""


class SourcePolicy:
    """Checks the source of a stream that is added over the API. The operator's own settings are not checked.

    Args:
        local: files, cameras, multicast, and hosts in private, loopback and link-local networks are allowed.
    """

    def __init__(self, *, local: bool) -> None:
        self._local = local

    @property
    def redirects(self) -> bool:
        """Return whether an http(s) source may redirect: its next address could not be checked."""
        return self._local

    async def checked(self, source: str) -> str:
        """The source as it may be opened: where the protocol allows, with the checked address in place of the name.

        Raises:
            Problem: 403, it is not allowed; 422, it is no URL or its host is not known.
        """
        if self._local:
            return source
        if "://" not in source:
            raise _refused("Files and cameras may not be named over the API.")
        try:
            parts = urlsplit(source)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise Problem(422, "bad-source", "The source is no URL.", "Write scheme://host/path.") from None
        if parts.scheme.lower() not in _SCHEMES:
            raise _refused(f"The protocol `{parts.scheme}` may not be named over the API.")
        if not host:
            raise Problem(422, "bad-source", "The source names no host.", "Write scheme://host/path.")
        address = await self._address(host, redact(source))
        if parts.scheme.lower() in _UNPINNED:
            return source
        # Resolved once, and connected to that: a name server must not answer differently the second time.
        user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
        shown = f"[{address}]" if ":" in address else address
        return urlunsplit(parts._replace(netloc=f"{user}{shown}{f':{port}' if port else ''}"))

    async def _address(self, host: str, shown: str) -> str:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            remedy = "Check the host's name."
            raise Problem(422, "bad-source", f"The host of {shown} is not known.", remedy) from None
        addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
        if not addresses or not all(public(address) for address in addresses):
            raise _refused(f"The host of {shown} is in a private or local network.")
        return addresses[0]


def public(address: str) -> bool:
    """Return whether the IP address is one of the public internet, however it is dressed."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return public(str(inner))
    return ip.is_global and not ip.is_multicast


def _refused(detail: str) -> Problem:
    remedy = "Put the stream into the server's settings, or set allow_local_sources there."
    return Problem(403, "source-refused", detail, remedy)

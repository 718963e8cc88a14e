"""Policy of webhook addresses: no private, local or reserved one, unless the operator allows it.

A name is resolved when the connection is made, what it resolves to is checked, and that very address is connected
to: a name that changes its mind in between (DNS rebinding) gains nothing. TLS checks the certificate against the
name as always.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from streamguard.errors import ConfigError, ForbiddenTarget, SubscriptionError, redact

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Lookup: TypeAlias = Callable[[str, int, int], Awaitable[list[tuple[Any, ...]]]]
"""host, port, address family -> the rows of `getaddrinfo`."""

MOST_URL = 2048
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NEVER = tuple(
    ipaddress.ip_network(text)
    # Deprecated, local by convention, or translated: not in `is_private` of every Python.
    for text in ("100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "64:ff9b:1::/48", "fec0::/10", "::/96")
)


@dataclass(frozen=True, slots=True)
class TargetPolicy:
    """Policy of webhook addresses.

    Attributes:
        allow: networks that are allowed although they are private or local.
        allow_http: allow http:// as well as https://.
        own: (host, port) this server answers at, in lower case: a subscription to itself is refused.
        lookup: `getaddrinfo`, replaceable in tests.
    """

    allow: tuple[Network, ...] = ()
    allow_http: bool = False
    own: frozenset[tuple[str, int]] = frozenset()
    lookup: Lookup | None = None

    def permits(self, address: Address) -> bool:
        """Return whether the address, and whatever address is wrapped in it, may be connected to."""
        return all(_public(one) or any(one in network for network in self.allow) for one in _unwrapped(address))

    async def check(self, url: str) -> None:
        """Refuse what could never be delivered to. A name that does not resolve just now passes.

        Raises:
            SubscriptionError: not a URL that webhooks can be sent to.
            ForbiddenTarget: it leads to a forbidden address or to this server itself.
        """
        target = self._parse(url)
        host, port = str(target.host), int(target.port or 0)
        if (host.lower().rstrip("."), port) in self.own:
            raise ForbiddenTarget(url, "it is an address of this very server", "give the receiver's URL")
        try:
            await self.resolve(host, port)
        except ForbiddenTarget:
            raise
        except OSError:
            return

    def _parse(self, url: str) -> URL:
        remedy = "give a URL such as https://receiver.example/hooks/streamguard"
        shown = redact(url[:MOST_URL])
        if len(url) > MOST_URL:
            raise SubscriptionError(shown[:80], f"the URL is longer than {MOST_URL} characters", remedy)
        if not url.isascii() or not url.isprintable() or any(char in url for char in ' \\"<>^`{|}'):
            raise SubscriptionError(shown, "the URL holds characters that have to be percent-encoded", remedy)
        try:
            parts, target = urlsplit(url), URL(url, encoded=True)
            host, port = target.host, target.port
        except ValueError:
            raise SubscriptionError(shown, "this is no URL", remedy) from None
        if parts.scheme not in {"https", "http"} or not host or not port:
            raise SubscriptionError(shown, "this is no https URL", remedy)
        # Two readers of one URL must see the same host.
        if parts.hostname is None or parts.hostname.rstrip(".") != host.lower().rstrip("."):
            raise SubscriptionError(shown, "its host can be read in two ways", remedy)
        if parts.scheme == "http" and not self.allow_http:
            raise SubscriptionError(shown, "http is not encrypted", "use https, or set alerts.allow_http = true")
        if parts.username is not None or parts.password is not None:
            raise SubscriptionError(shown, "it holds a user name or password", "put a token into the path or query")
        if parts.fragment:
            raise SubscriptionError(shown, "it has a fragment, which is never sent", "leave out what follows #")
        return target

    async def resolve(self, host: str, port: int, family: int = socket.AF_UNSPEC) -> list[ResolveResult]:
        """The addresses of a name, every one of them permitted.

        Raises:
            OSError: it does not resolve.
            ForbiddenTarget: one of its addresses is not permitted.
        """
        lookup = self.lookup or _getaddrinfo
        found = []
        for kind, _, protocol, _, (address, *_) in await lookup(host, port, family):
            if not self.permits(ipaddress.ip_address(str(address).partition("%")[0])):
                cause = f"it leads to {address}, a private, local or reserved address"
                raise ForbiddenTarget(
                    host, cause, "give a public receiver, or name its network in alerts.allow_networks"
                )
            found.append(
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=port,
                    family=kind,
                    proto=protocol,
                    flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
                )
            )
        if not found:
            raise OSError(None, f"{host} has no address")
        return found


class PinnedResolver(AbstractResolver):
    """aiohttp's resolver under a policy: connections go to exactly the addresses that were checked."""

    def __init__(self, policy: TargetPolicy) -> None:
        self._policy = policy

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Resolve as `TargetPolicy.resolve` does."""
        return await self._policy.resolve(host, port, family)

    async def close(self) -> None:
        """Nothing to close."""


def read_networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Networks such as `10.0.0.0/8`, or single addresses.

    Raises:
        ConfigError: not a network.
    """
    networks = []
    for one in texts:
        try:
            networks.append(ipaddress.ip_network(one))
        except ValueError:
            raise ConfigError(f"network `{one}`", "this is no network", "write it as 10.0.0.0/8") from None
    return tuple(networks)


async def _getaddrinfo(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)


def _public(address: Address) -> bool:
    forbidden = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    if forbidden or not address.is_global:
        return False
    return not any(address in network for network in _NEVER)


def _unwrapped(address: Address) -> tuple[Address, ...]:
    """The address and the IPv4 addresses that a gateway would take out of it."""
    if isinstance(address, ipaddress.IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        # How an IPv6-only network reaches IPv4: what counts is where it leads.
        return (ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF),)
    inner: list[Address] = [address]
    if address.sixtofour is not None:
        inner.append(address.sixtofour)
    if address.teredo is not None:
        inner.extend(address.teredo)
    return tuple(inner)

"""Limits of wrong tokens by client address, and the client's address behind proxies."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from aiohttp import web

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
BURST = 10
"""Wrong tokens that an address may send at once."""
PAUSE = 2.0
"""Seconds after which it may send one more."""
HOLD = 6.0
"""Seconds that a token may wait to be looked at; where it would be more, it is not."""
_PREFIX = 64
"""Of IPv6, what one customer is given: all addresses in it are his."""


class LoginLimiter:
    """Slows down who tries tokens: per address a bucket of `burst` tries, filled by one each `pause` seconds (GCRA).

    What an address has been let in with passes there without a try, so that nobody is shut out by a neighbour. Memory
    is bounded: beyond `most`, what would be forgotten soonest is forgotten.

    Args:
        burst, pause: as above.
        most: addresses, and tokens by address, that are remembered.
        clock: seconds.
    """

    def __init__(
        self,
        burst: int = BURST,
        pause: float = PAUSE,
        most: int = 4096,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._burst, self._pause, self._most, self._clock = burst, pause, most, clock
        # When the bucket is full again, by address.
        self._full: dict[str, float] = {}
        self._admitted: OrderedDict[tuple[str, bytes], None] = OrderedDict()

    def wait(self, address: str) -> float:
        """Seconds until a token from there may be looked at; 0 for now."""
        now = self._clock()
        full = max(self._full.get(address, now), now)
        return max(0.0, full - now - (self._burst - 1) * self._pause)

    def tried(self, address: str) -> None:
        """Count a token that is looked at after `wait`."""
        now = self._clock()
        self._full[address] = max(self._full.get(address, now), now) + self._pause
        if len(self._full) > self._most:
            self._full = {key: full for key, full in self._full.items() if full > now}
        if len(self._full) > self._most:
            del self._full[min(self._full, key=lambda key: self._full[key])]

    def admit(self, address: str, digest: bytes) -> None:
        """The token that was tried is right: the try does not count, and it passes there from now on."""
        if address in self._full:
            self._full[address] -= self._pause
        self._admitted[address, digest] = None
        if len(self._admitted) > self._most:
            self._admitted.popitem(last=False)

    def knows(self, address: str, digest: bytes) -> bool:
        """Return whether the token has been accepted from that address."""
        known = (address, digest) in self._admitted
        if known:
            self._admitted.move_to_end((address, digest))
        return known


def client_address(request: web.Request, trusted: Sequence[Network]) -> str:
    """Return the client's address: the other end of the connection, or behind a trusted proxy its `X-Forwarded-For`.

    Of the addresses in the header field the last one counts that is no trusted proxy: those before it may be made up.
    """
    address = _parsed(request.remote or "")
    for told in reversed(",".join(request.headers.getall("X-Forwarded-For", ())).split(",")):
        further = _parsed(told)
        if address is None or further is None or not any(address in network for network in trusted):
            break
        address = further
    return str(address) if address is not None else "unknown"


def address_in(remote: str | None, networks: Iterable[Network]) -> bool:
    """Return whether the other end of a connection is in one of the networks."""
    address = _parsed(remote or "")
    return address is not None and any(address in network for network in networks)


def limited_as(address: str) -> str:
    """Return the network that is limited as one client: an IPv4 address, or the /64 network of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), _PREFIX), strict=False))
    return address


def _parsed(text: str) -> Address | None:
    """The address; one of IPv4 that is written as IPv6 is one of IPv4. A port (`1.2.3.4:5`, `[::1]:5`) is left out."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address

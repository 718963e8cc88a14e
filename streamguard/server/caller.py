"""Callers, and their rights by stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from streamguard.config import Scope
from streamguard.config.sign_on import covers


@dataclass(frozen=True, slots=True)
class Grant:
    """Scopes over the streams that match one of the patterns; `*` alone is over all there is."""

    scopes: frozenset[Scope]
    streams: tuple[str, ...] = ("*",)

    @property
    def everywhere(self) -> bool:
        """Return whether it holds for all streams, and so for what is of no stream."""
        return "*" in self.streams


@dataclass(frozen=True, slots=True)
class Caller:
    """Caller of a request.

    Attributes:
        name: the token's, or `openid:` and `proxy:` with the user's; None where no token is configured.
        scopes: what holds for all streams, and for what is of no stream.
        address: where the request comes from.
        narrow: what holds for some streams only.
    """

    name: str | None
    scopes: frozenset[Scope]
    address: str = "unknown"
    narrow: tuple[Grant, ...] = ()

    @classmethod
    def of(cls, name: str, grants: Iterable[Grant], address: str) -> Self:
        """The caller with these grants."""
        found = tuple(grants)
        wide = frozenset(scope for each in found if each.everywhere for scope in each.scopes)
        return cls(name, wide, address, tuple(each for each in found if not each.everywhere))

    def may(self, scope: Scope) -> bool:
        """Return whether the caller has the scope over all streams; `admin` includes all."""
        return scope in self.scopes or "admin" in self.scopes

    def may_on(self, scope: Scope, stream: str) -> bool:
        """Return whether the caller has the scope over the stream of that name."""
        return self.may(scope) or any(scope in each.scopes and covers(each.streams, stream) for each in self.narrow)

    def may_somewhere(self, scope: Scope) -> bool:
        """Return whether the caller has the scope over some stream, which need not be there."""
        return self.may(scope) or any(scope in each.scopes for each in self.narrow)

    def may_view(self, stream: str, owner: str | None) -> bool:
        """Return whether the caller may see a stream that was published by `owner`."""
        mine = self.name is not None and self.name == owner and self.may_on("publish", stream)
        return mine or self.may_on("view", stream)

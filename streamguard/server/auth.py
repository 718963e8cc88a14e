"""Who may do what: bearer tokens with scopes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from streamguard.config import Scope, TokenSettings
from streamguard.server.problems import Problem

_CHALLENGE = 'Bearer realm="streamguard"'


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        name: stands for the token; None where no token is configured.
        scopes: what the token opens.
    """

    name: str | None
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether the caller has the scope; `admin` includes all."""
        return scope in self.scopes or "admin" in self.scopes

    def may_view(self, owner: str | None) -> bool:
        """Whether the caller may see a stream that was published by `owner`."""
        return self.may("view") or (self.name is not None and self.name == owner and self.may("publish"))


ANYBODY = Caller(None, frozenset({"admin"}))


class Tokens:
    """The configured tokens, kept as digests only.

    Args:
        tokens: none means that everybody who can connect may do everything.
    """

    def __init__(self, tokens: Sequence[TokenSettings]) -> None:
        self._known: list[tuple[bytes, frozenset[Scope]]] = []
        self.replace(tokens)

    def replace(self, tokens: Sequence[TokenSettings]) -> None:
        """Let these in from now on; who is connected stays."""
        self._known = [(_digest(each.token.get_secret_value()), each.scopes) for each in tokens]

    @property
    def required(self) -> bool:
        """Whether a token is needed at all."""
        return bool(self._known)

    def caller(self, request: web.Request, *, in_query: bool = False) -> Caller:
        """Who makes the request.

        Args:
            request: with `Authorization: Bearer TOKEN` (RFC 6750).
            in_query: `access_token` in the query will do, for what a browser loads without header fields.

        Raises:
            Problem: 401, no token or a wrong one.
        """
        if not self._known:
            return ANYBODY
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            token = request.query.get("access_token", "") if in_query else ""
        token = token.strip()
        if not token:
            raise self._refused("A token is needed.", _CHALLENGE)
        digest, found = _digest(token), None
        for known, scopes in self._known:
            # No early end: the time taken tells nothing of the tokens.
            if hmac.compare_digest(digest, known):
                found = Caller(known.hex()[:12], scopes)
        if found is None:
            raise self._refused("The token is not known.", f'{_CHALLENGE}, error="invalid_token"')
        return found

    @staticmethod
    def _refused(detail: str, challenge: str) -> Problem:
        remedy = "Send `Authorization: Bearer TOKEN` with a token of the server's settings."
        return Problem(401, "unauthorized", detail, remedy, {"WWW-Authenticate": challenge})


def forbidden(scope: str) -> Problem:
    """The token is known, but does not open this."""
    challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
    remedy = "Use a token with that scope."
    return Problem(403, "forbidden", f"This needs the scope `{scope}`.", remedy, {"WWW-Authenticate": challenge})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()

"""Access control: bearer tokens of the settings, tokens of an OpenID provider, header fields of a trusted proxy."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import math
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Self

from aiohttp import web

from streamguard.config import ServerSettings, TokenSettings
from streamguard.errors import SignOnRefused, SignOnUnavailable
from streamguard.logs import get_logger
from streamguard.server.caller import Caller, Grant
from streamguard.server.logins import HOLD, LoginLimiter, Network, client_address, limited_as
from streamguard.server.problems import Problem, sentence
from streamguard.server.sign_on import OpenId, ProxySignOn
from streamguard.server.signing_keys import SigningKeys

log = get_logger("streamguard.auth")
_CHALLENGE = 'Bearer realm="streamguard"'


class Tokens:
    """The configured tokens, kept as digests only.

    Args:
        tokens: none means that everybody who can connect may do everything.
        proxies: networks of proxies that tell whom they ask for.
        limiter: slows down who tries tokens.
    """

    def __init__(
        self,
        tokens: Sequence[TokenSettings],
        proxies: Sequence[Network] = (),
        limiter: LoginLimiter | None = None,
    ) -> None:
        self._proxies, self._limiter = proxies, limiter or LoginLimiter()
        self._known: list[tuple[bytes, str, Grant]] = []
        self.openid: OpenId | None = None
        self.proxy: ProxySignOn | None = None
        self.counts: Counter[tuple[str, str]] = Counter()
        """Requests by (`token`, `openid` or `proxy`; `admitted`, `refused` or `unavailable`), since the start."""
        self.replace(tokens)

    @classmethod
    def of(cls, settings: ServerSettings) -> Self:
        """Return the access rules of the settings.

        Raises:
            ConfigError: the file of certificates for the OpenID provider cannot be used.
        """
        made = cls(settings.tokens, settings.trusted_proxies)
        if (provider := settings.openid) is not None:
            made.openid = OpenId(provider, settings.grants, SigningKeys(provider))
        if (proxy := settings.proxy_sign_on) is not None:
            made.proxy = ProxySignOn(proxy, settings.grants, settings.allowed_origins)
        return made

    def replace(self, tokens: Sequence[TokenSettings]) -> None:
        """Accept these tokens from now on; running connections stay."""
        digests = [(_digest(each.token.get_secret_value()), each) for each in tokens]
        self._known = [
            (digest, each.name or digest.hex()[:12], Grant(each.scopes, each.streams)) for digest, each in digests
        ]

    @property
    def required(self) -> bool:
        """Return whether a caller must be identified at all."""
        return bool(self._known) or self.openid is not None or self.proxy is not None

    def stranger(self, request: web.Request) -> Caller:
        """Return the caller of a request that needs no token."""
        return Caller(None, frozenset(), client_address(request, self._proxies))

    async def caller(self, request: web.Request, *, in_query: bool = False) -> Caller:
        """Return the caller. An address that has sent many wrong tokens has to wait before it may try a new one.

        Args:
            request: with `Authorization: Bearer TOKEN` (RFC 6750).
            in_query: `access_token` in the query will do, for what a browser loads without header fields.

        Raises:
            Problem: 401, no token or a wrong one; 429, too many wrong ones from that address; 503, the provider cannot
                be asked for its keys; 403, a page of another site used the proxy's cookie.
        """
        address = client_address(request, self._proxies)
        if not self.required:
            return Caller(None, frozenset({"admin"}), address)
        if self.proxy is not None and (signed_on := self._by_proxy(self.proxy, request, address)) is not None:
            return signed_on
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            token = request.query.get("access_token", "") if in_query else ""
        token = token.strip()
        if not token:
            raise self._refused("A token is needed.", _CHALLENGE)
        digest, limiter, place = _digest(token), self._limiter, limited_as(address)
        if limiter.knows(place, digest):
            # One that was right once may have expired, and counts as wrong then.
            with suppress(SignOnRefused):
                return await self._find(token, digest, address)
        wait = limiter.wait(place)
        if wait > HOLD:
            raise _too_many("Too many wrong tokens came from this address.", wait)
        limiter.tried(place)
        # A right one is answered late, too: otherwise what is not answered at once is wrong.
        await asyncio.sleep(wait)
        try:
            found = await self._find(token, digest, address)
        except SignOnRefused as error:
            why = f"The token is refused: {error.cause}."
        else:
            limiter.admit(place, digest)
            return found
        # The path alone: a query may hold a token.
        log.warning("log-in failed", address=address, method=request.method, path=request.path[:200], why=why)
        if wait:
            raise _too_many("The token is wrong, and many wrong ones came from this address.", limiter.wait(place))
        raise self._refused(why, f'{_CHALLENGE}, error="invalid_token"')

    async def _find(self, token: str, digest: bytes, address: str) -> Caller:
        """Return the caller with the token; raises SignOnRefused, or a Problem where it cannot be known now."""
        found = None
        for known, name, grant in self._known:
            # No early end: the time taken must not depend on the tokens.
            if hmac.compare_digest(digest, known):
                found = Caller.of(name, [grant], address)
        kind = "token"
        try:
            if found is None and self.openid is not None:
                kind = "openid"
                found = await self.openid.caller(token, address)
            if found is None:
                raise SignOnRefused("bearer token", "it is not known", "send one of the server's settings")
        except SignOnUnavailable as error:
            self.counts[kind, "unavailable"] += 1
            # It may be right: that counts as no wrong try.
            self._limiter.admit(limited_as(address), digest)
            headers = {"Retry-After": "15"}
            raise Problem(503, "no-sign-on", sentence(error.cause), "Try again in a moment.", headers) from None
        except SignOnRefused:
            self.counts[kind, "refused"] += 1
            raise
        self.counts[kind, "admitted"] += 1
        return found

    def _by_proxy(self, proxy: ProxySignOn, request: web.Request, address: str) -> Caller | None:
        try:
            found = proxy.caller(request, address)
        except SignOnRefused as error:
            self.counts["proxy", "refused"] += 1
            log.warning(
                "log-in failed", address=address, method=request.method, path=request.path[:200], why=error.cause
            )
            raise self._refused(f"The proxy's word is refused: {error.cause}.", _CHALLENGE) from None
        if found is not None:
            self.counts["proxy", "admitted"] += 1
        return found

    @staticmethod
    def _refused(detail: str, challenge: str) -> Problem:
        remedy = "Send `Authorization: Bearer TOKEN` with a token of the server's settings, or of its OpenID provider."
        return Problem(401, "unauthorized", detail, remedy, {"WWW-Authenticate": challenge})


def forbidden(scope: str) -> Problem:
    """The token is known, but does not open this."""
    challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"'
    remedy = "Use a token with that scope."
    return Problem(403, "forbidden", f"This needs the scope `{scope}`.", remedy, {"WWW-Authenticate": challenge})


def _too_many(detail: str, wait: float) -> Problem:
    headers = {"Retry-After": str(max(1, math.ceil(wait)))}
    return Problem(429, "too-many-tries", detail, "Wait as long as `Retry-After` says, and check the token.", headers)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()

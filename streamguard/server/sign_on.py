"""People whom somebody else has signed on: by JWTs of an OpenID provider (RFC 7519, RFC 9068), or by a proxy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

import jwt
from aiohttp import web

from streamguard.config.sign_on import GrantSettings, OpenIdSettings, ProxySignOnSettings
from streamguard.errors import SignOnRefused
from streamguard.server.caller import Caller, Grant
from streamguard.server.logins import address_in
from streamguard.server.problems import Problem
from streamguard.server.signing_keys import SigningKeys

MOST_TOKEN = 16 * 1024
MOST_NAME = 128
MOST_GROUPS = 1000
MOST_TRIED = 8
"""Keys that a token without a `kid` is tried with."""
_TYPES = {"JWT", "AT+JWT", "APPLICATION/AT+JWT"}
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_TOLD: tuple[tuple[type[jwt.PyJWTError], str], ...] = (
    (jwt.ExpiredSignatureError, "it has expired"),
    (jwt.ImmatureSignatureError, "it does not hold yet"),
    (jwt.InvalidAudienceError, "it is meant for another audience"),
    (jwt.InvalidIssuerError, "it is of another issuer"),
    (jwt.InvalidSignatureError, "its signature is wrong"),
    (jwt.MissingRequiredClaimError, "a claim is missing that it must have"),
)


class OpenId:
    """Reads the provider's tokens.

    Args:
        settings: of the provider.
        grants: what groups and scopes open.
        keys: the provider's.
    """

    def __init__(self, settings: OpenIdSettings, grants: Sequence[GrantSettings], keys: SigningKeys) -> None:
        self._settings, self._grants, self.keys = settings, grants, keys

    async def caller(self, token: str, address: str) -> Caller:
        """Return the caller with the token. A person for whom nothing is granted is let in, and may do nothing.

        Args:
            token: as sent.
            address: where from.

        Raises:
            SignOnRefused: it is no such token, or does not hold here and now.
            SignOnUnavailable: the provider's keys cannot be fetched.
        """
        claims = await self._claims(token)
        user = claims.get(self._settings.user_claim)
        if not isinstance(user, str) or not _is_name(user):
            raise _refused(f"its claim `{self._settings.user_claim}` names nobody")
        scopes = {*_listed(claims.get("scope")), *_listed(claims.get("scp"))}
        found = granted(self._grants, _groups(_inside(claims, self._settings.groups_claim)), scopes)
        return Caller.of(f"openid:{user}", found, address)

    async def _claims(self, token: str) -> dict[str, Any]:
        settings = self._settings
        if len(token) > MOST_TOKEN:
            raise _refused("it is too long")
        try:
            head = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise _refused("it is no JWT") from None
        algorithm, key_id = head.get("alg"), head.get("kid")
        if not isinstance(algorithm, str) or algorithm not in settings.algorithms:
            raise _refused("its signature is of a kind that is not allowed here")
        if "crit" in head or str(head.get("typ", "JWT")).upper() not in _TYPES:
            raise _refused("it is of a kind that is not known here")
        if key_id is not None and not isinstance(key_id, str):
            raise _refused("it is no JWT")
        keys = await self.keys.find(algorithm, key_id)
        if not keys:
            raise _refused("the provider has no key that it is signed with")
        for key in keys[:MOST_TRIED]:
            try:
                claims: dict[str, Any] = jwt.decode(
                    token,
                    key=key,
                    algorithms=[algorithm],
                    audience=list(settings.audience),
                    issuer=settings.issuer,
                    leeway=settings.leeway_seconds,
                    options={"require": ["exp", "iss", "aud"]},
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
                why = next((told for kind, told in _TOLD if isinstance(error, kind)), "it is no JWT")
                raise _refused(why) from None
            return claims
        raise _refused("its signature is wrong")


class ProxySignOn:
    """Reads the proxy's header fields.

    Args:
        settings: of the proxy.
        grants: what groups open.
        origins: web pages of other origins that may call.
    """

    def __init__(
        self, settings: ProxySignOnSettings, grants: Sequence[GrantSettings], origins: Iterable[str] = ()
    ) -> None:
        self._settings, self._grants, self._origins = settings, grants, frozenset(origins)

    def caller(self, request: web.Request, address: str) -> Caller | None:
        """Return the person who is signed on; None where the request is not the proxy's, or it names nobody.

        Args:
            request: as it came.
            address: where from, for the log.

        Raises:
            SignOnRefused: the header fields can be read in two ways.
            Problem: 403, a page of another site had the browser send it.
        """
        settings = self._settings
        if not address_in(request.remote, settings.networks):
            return None
        users = request.headers.getall(settings.user_header, [])
        groups = request.headers.getall(settings.groups_header, [])
        if not users or users == [""]:
            return None
        if len(users) > 1 or len(groups) > 1:
            raise _refused("the proxy's header fields are there twice")
        user = users[0].strip()
        if not _is_name(user):
            raise _refused("the proxy's header field names nobody")
        self._check_site(request)
        listed = [group.strip() for group in (groups[0] if groups else "").split(",")]
        return Caller.of(f"proxy:{user}", granted(self._grants, listed[:MOST_GROUPS], ()), address)

    def _check_site(self, request: web.Request) -> None:
        """The proxy knows people by a cookie, which browsers send whichever page asks."""
        if request.method in _SAFE:
            return
        origin = request.headers.get("Origin")
        site = request.headers.get("Sec-Fetch-Site", "none")
        own = origin is None or origin in self._origins or urlsplit(origin).netloc == request.host
        if not own or (site not in {"none", "same-origin"} and origin not in self._origins):
            raise Problem(403, "foreign-page", "Another web page sent this.", "Add its origin to allowed_origins.")


def granted(grants: Iterable[GrantSettings], groups: Iterable[str], scopes: Iterable[str]) -> list[Grant]:
    """Return the grants of these groups and scopes."""
    has_groups, has_scopes = frozenset(groups), frozenset(scopes)
    return [Grant(each.scopes, each.streams) for each in grants if each.group in has_groups or each.scope in has_scopes]


def _refused(cause: str) -> SignOnRefused:
    return SignOnRefused("bearer token", cause, "sign on again")


def _is_name(user: str) -> bool:
    return len(user.strip()) > 0 and len(user) <= MOST_NAME and user.isprintable()


def _inside(claims: dict[str, Any], path: str) -> Any:
    # A provider may have dots in a claim's own name, as in a URL.
    if path in claims:
        return claims[path]
    value: Any = claims
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _groups(value: Any) -> list[str]:
    found = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    return [each for each in found[:MOST_GROUPS] if isinstance(each, str)]


def _listed(value: Any) -> list[str]:
    return value.split() if isinstance(value, str) else _groups(value)

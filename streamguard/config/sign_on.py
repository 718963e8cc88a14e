"""The parts of the configuration that say who is let in by somebody else's word, and what that opens."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, IPvAnyNetwork, SecretStr, field_validator, model_validator

from streamguard.config.section import STREAM_NAME, Section, is_web, secret_file

Scope = Literal["publish", "view", "review", "admin"]
Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures by a key whose private half only the provider has: never `none`, never HMAC."""
Pattern = Annotated[str, Field(min_length=1, max_length=64)]
Header = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
Text = Annotated[str, Field(min_length=1, max_length=512)]
_SHORTEST_TOKEN = 16


class TokenSettings(Section):
    """One bearer token and what it opens."""

    name: Annotated[str, Field(pattern=STREAM_NAME)] | None = Field(
        default=None,
        description="Stands for it in the audit log and beside marks, unique; the same after the token was changed. "
        "Default: made of the token.",
    )
    token: SecretStr = Field(description="At least 16 characters: `openssl rand -hex 24`.", examples=["x" * 16])
    token_file: Path | None = secret_file("token")
    scopes: frozenset[Scope] = Field(
        min_length=1,
        examples=[["view"]],
        description="publish: send streams, and see one's own; view: see all streams; review: mark incidents; admin: "
        "everything.",
    )

    streams: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=64)] = Field(
        default=("*",),
        description="Shell patterns (`*`, `?`, `[...]`) of the streams that publish, view and review hold for; admin "
        "holds for all.",
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        check_streams(self.scopes, self.streams)
        return self

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr) -> SecretStr:
        value = token.get_secret_value()
        if len(value) < _SHORTEST_TOKEN or not value.isascii() or not value.isprintable() or " " in value:
            raise ValueError(f"a token has at least {_SHORTEST_TOKEN} printable ASCII characters without spaces")
        return token


class GrantSettings(Section):
    """Rights of people with a group, or of tokens with a scope."""

    group: Text | None = Field(default=None, description="Name of a group, as the provider or the proxy writes it.")
    scope: Text | None = Field(default=None, description="Name of a scope in the token (`scope` or `scp`).")
    scopes: frozenset[Scope] = Field(
        min_length=1, examples=[["view"]], description="What they may do, as for `server.tokens`."
    )
    streams: Annotated[tuple[Pattern, ...], Field(min_length=1, max_length=64)] = Field(
        default=("*",),
        description="Shell patterns (`*`, `?`, `[...]`) of the streams it holds for; admin holds for all.",
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.group is None) == (self.scope is None):
            raise ValueError("name either a group or a scope")
        check_streams(self.scopes, self.streams)
        return self


class OpenIdSettings(Section):
    """Bearer tokens of an OpenID provider: JWTs, signed by keys that it publishes."""

    issuer: Text = Field(
        description="As in the tokens' `iss`; https, or http on loopback.", examples=["https://id.example/realms/news"]
    )
    audience: Annotated[tuple[Text, ...], Field(min_length=1, max_length=16)] = Field(
        description="This server's names in the tokens' `aud`; one of them must be there.", examples=[["streamguard"]]
    )
    keys_url: Text | None = Field(
        default=None, description="Where the keys (JWKS) are; default: what the issuer's OpenID configuration says."
    )
    algorithms: Annotated[tuple[Algorithm, ...], Field(min_length=1)] = Field(
        default=("RS256", "ES256"), description="Signatures that are taken."
    )
    leeway_seconds: Annotated[float, Field(ge=0, le=300)] = Field(
        default=30.0, description="By how much clocks may differ."
    )
    user_claim: Text = Field(default="sub", description="Claim that names the user, in the audit log and beside marks.")
    groups_claim: Text = Field(
        default="groups", description="Claim with the user's groups; dots lead inside, as `realm_access.roles`."
    )
    ca_file: Path | None = Field(default=None, description="PEM file of certificates trusted for the provider.")

    @field_validator("issuer", "keys_url")
    @classmethod
    def _encrypted(cls, url: str | None) -> str | None:
        if url is None:
            return None
        host = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
        local = host.startswith(("localhost", "127.", "[::1]"))
        if not is_web(url) or not host or any(char.isspace() for char in url) or "#" in url:
            raise ValueError("write https://host/path")
        if not url.lower().startswith("https://") and not local:
            raise ValueError("keys that come without TLS may be anybody's: write https://")
        return url


class ProxySignOnSettings(Section):
    """A reverse proxy that has signed people on, and says who they are in header fields."""

    networks: Annotated[tuple[IPvAnyNetwork, ...], Field(min_length=1, max_length=64)] = Field(
        description="Addresses of the proxy itself: from elsewhere the header fields count for nothing.",
        examples=[["10.0.0.7/32"]],
    )
    user_header: Header = Field(default="X-Forwarded-User", description="Names the user.")
    groups_header: Header = Field(
        default="X-Forwarded-Groups", description="Lists the user's groups, with commas between them."
    )


def check_streams(scopes: frozenset[Scope], streams: tuple[str, ...]) -> None:
    """Return whether scopes can be narrowed to streams.

    Raises:
        ValueError: admin is among them, which is over the whole server.
    """
    if "admin" in scopes and streams != ("*",):
        raise ValueError("admin is over the whole server: leave `streams` out, or `admin`")


def covers(patterns: tuple[str, ...], stream: str) -> bool:
    """Return whether one of the patterns means the stream."""
    return any(fnmatchcase(stream, pattern) for pattern in patterns)

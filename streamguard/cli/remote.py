"""A running server, asked by the command line over its REST API."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

import typer

from streamguard.errors import ConfigError, RemoteError

LIMIT = 30.0
Server: TypeAlias = Annotated[
    str, typer.Option("--server", envvar="STREAMGUARD_SERVER", help="URL of the running server.")
]
Token: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--token",
        envvar="STREAMGUARD_TOKEN",
        help="A token with the scope admin. Better given by the variable: command lines are seen by other users.",
    ),
]
Authority: TypeAlias = Annotated[
    Path | None, typer.Option("--ca-file", help="PEM file of the certificates that the server's is checked against.")
]
HERE = "http://127.0.0.1:8080"


@dataclass(frozen=True, slots=True)
class Remote:
    """A server and how to be let in.

    Attributes:
        server: its URL.
        token: bearer token; None where it asks for none.
        authority: PEM file; None for the system's certificates.
    """

    server: str
    token: str | None = None
    authority: Path | None = None

    async def ask(
        self, method: str, path: str, body: object = None, query: Mapping[str, str | int] | None = None
    ) -> Any:
        """The JSON that the server answers; None for an empty answer.

        Args:
            method, path: of the operation; the path is percent-encoded and begins below `/api/v1/`.
            body: sent as JSON, unless None.
            query: parameters.

        Raises:
            RemoteError: it cannot be reached, or it refused; with its own cause and remedy.
            ConfigError: the URL or the certificates cannot be used.
        """
        import aiohttp
        from yarl import URL

        if urlsplit(self.server).scheme not in {"http", "https"}:
            raise ConfigError("--server", f"`{self.server}` is no http(s) URL", f"give one such as {HERE}")
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        url = URL(f"{self.server.rstrip('/')}/api/v1/{path}", encoded=True).with_query(query or {})
        limit = aiohttp.ClientTimeout(total=LIMIT)
        try:
            async with (
                aiohttp.ClientSession(timeout=limit, headers=headers) as http,
                # A redirect would carry the token to somebody else.
                http.request(method, url, json=body, ssl=self._trust(), allow_redirects=False) as response,
            ):
                if not 200 <= response.status < 300:
                    raise await _refused(response)
                return await response.json() if response.status != 204 else None
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            cause = "it did not answer in time" if isinstance(error, TimeoutError) else str(error) or "no answer"
            remedy = "start `streamguard serve`, or give --server and, for a private certificate, --ca-file"
            raise RemoteError(self.server, cause, remedy) from error

    def _trust(self) -> ssl.SSLContext | bool:
        if self.authority is None:
            return True
        try:
            return ssl.create_default_context(cafile=self.authority)
        except (OSError, ssl.SSLError) as error:
            cause = f"it holds no certificates that can be used ({error.strerror or error})"
            raise ConfigError(str(self.authority), cause, "give a PEM file") from None


async def _refused(response: Any) -> RemoteError:
    try:
        problem = await response.json(content_type=None)
        cause, remedy = str(problem["detail"]), str(problem["remedy"])
    except (ValueError, KeyError, TypeError):
        cause, remedy = f"it answered {response.status} {response.reason}", "check that this is a streamguard server"
    return RemoteError(f"server ({response.status})", cause, remedy)

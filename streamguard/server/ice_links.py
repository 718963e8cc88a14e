"""ICE servers as WHIP tells them: `Link` header fields (RFC 9725, 4.6)."""

from __future__ import annotations

from collections.abc import Iterable

from streamguard.config import IceServerSettings


def ice_links(servers: Iterable[IceServerSettings]) -> list[str]:
    """One field value per URL."""
    links = []
    for server in servers:
        for url in server.urls:
            link = f'<{url}>; rel="ice-server"'
            if server.username is not None:
                link += f"; username={_quoted(server.username)}"
            if server.credential is not None:
                link += f'; credential={_quoted(server.credential.get_secret_value())}; credential-type="password"'
            links.append(link)
    return links


def _quoted(text: str) -> str:
    """A quoted-string (RFC 9110, 5.6.4)."""
    safe = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{safe}"'

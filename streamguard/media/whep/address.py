"""The addresses of WHEP endpoints."""

from __future__ import annotations

PREFIX = "whep+"
SCHEMES = ("whep+https", "whep+http")


def is_whep(url: str) -> bool:
    """Return whether the URL is one of a WHEP endpoint: `whep+https://host[:port]/path`, or `whep+http`."""
    return url.lower().startswith(tuple(f"{scheme}://" for scheme in SCHEMES))

"""The server: WHIP in, WHEP out, REST, server-sent events, metrics, the page."""

from __future__ import annotations

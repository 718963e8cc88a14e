"""Signed links that need no token and expire."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from streamguard.errors import ConfigError, EvidenceError

LEAST_KEY = 32
_PURPOSE = b"streamguard evidence link v1"


class LinkSigner:
    """Signs paths with HMAC-SHA-256 and a moment of expiry.

    Args:
        key: 32 bytes or more, known to this server only.
        base: what comes before the path, for example `https://guard.example/evidence`.

    Raises:
        ConfigError: the key is too short.
    """

    def __init__(self, key: bytes, base: str) -> None:
        if len(key) < LEAST_KEY:
            raise ConfigError("link key", f"it has {len(key)} bytes", f"give {LEAST_KEY} random ones")
        self._key, self._base = key, base.rstrip("/")

    def link(self, path: str, expires: float) -> str:
        """The signed URL of a path (without a leading slash), valid before `expires` (UTC epoch seconds)."""
        return f"{self._base}/{self.relative(path, expires)}"

    def relative(self, path: str, expires: float) -> str:
        """The same without the base."""
        until = int(expires)
        query = urlencode({"expires": until, "signature": self._sign(path, until)})
        return f"{quote(path)}?{query}"

    def check(self, path: str, query: Mapping[str, str], now: float) -> None:
        """Refuse a path whose link was not signed here, was changed, or has expired.

        Args:
            path: percent-decoded, without a leading slash.
            query: the link's `expires` and `signature`.
            now: UTC epoch seconds.

        Raises:
            EvidenceError: it is refused.
        """
        expires, signature = query.get("expires", ""), query.get("signature", "")
        remedy = "ask for a new link"
        if not re.fullmatch(r"\d{1,15}", expires, re.ASCII):
            raise EvidenceError("evidence link", "it is not signed", remedy)
        right = self._sign(path, int(expires))
        if not hmac.compare_digest(right.encode(), signature.encode("utf-8", "replace")):
            raise EvidenceError("evidence link", "its signature is wrong", remedy)
        if now >= int(expires):
            raise EvidenceError("evidence link", "it has expired", remedy)

    def _sign(self, path: str, expires: int) -> str:
        text = b"\0".join((_PURPOSE, str(expires).encode(), path.encode("utf-8", "replace")))
        return hmac.new(self._key, text, hashlib.sha256).hexdigest()

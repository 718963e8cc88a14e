"""Schedule of retries (Standard Webhooks, "Deliverability and reliability")."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime

MINUTE, HOUR = 60.0, 3600.0
WAITS = (5.0, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR)
"""Seconds before the second, third ... tenth try; after the last one the delivery is dead."""
JITTER = 0.1
LONGEST_RETRY_AFTER = 24 * HOUR


def wait_after(tries: int, chance: Callable[[], float], retry_after: float | None = None) -> float | None:
    """Seconds until the next try; None when there is none left.

    Args:
        tries: how many have failed, at least 1.
        chance: a random number in 0..1; the wait is spread by 10 % to either side.
        retry_after: what the receiver asked for, seconds; it lengthens the wait, never shortens it.
    """
    if tries > len(WAITS):
        return None
    wait = WAITS[tries - 1] * (1.0 + JITTER * (2.0 * chance() - 1.0))
    return wait if retry_after is None else max(wait, min(retry_after, LONGEST_RETRY_AFTER))


def read_retry_after(value: str | None, now: float) -> float | None:
    """Seconds from now that a `Retry-After` header asks for (RFC 9110, 10.2.3), 0 to 24 h; None if it says nothing.

    Args:
        value: delay-seconds or an HTTP-date.
        now: UTC epoch seconds.
    """
    text = (value or "").strip()
    if re.fullmatch(r"\d{1,18}", text, re.ASCII):
        wait = float(text)
    else:
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        # RFC 9110: an HTTP-date is in UTC whatever it is written with.
        wait = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp() - now
    return min(max(wait, 0.0), LONGEST_RETRY_AFTER) if math.isfinite(wait) else None

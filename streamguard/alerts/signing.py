"""The headers of Standard Webhooks."""

from __future__ import annotations

from collections.abc import Iterable

from standardwebhooks.webhooks import Webhook

from streamguard.alerts.keys import Secret
from streamguard.clock import utc


def sign(webhook_id: str, now: float, body: str, secrets: Iterable[Secret]) -> dict[str, str]:
    """`webhook-id`, `webhook-timestamp` and `webhook-signature` with one `v1` signature per secret in force.

    Args:
        webhook_id: stable over all tries of a message.
        now: UTC epoch seconds of this try.
        body: exactly what is sent, UTF-8.
        secrets: the present one, and rotated ones until their time is over.
    """
    moment = utc(now)
    signatures = [Webhook(one.text).sign(webhook_id, moment, body) for one in secrets if _holds(one, now)]
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _holds(secret: Secret, now: float) -> bool:
    return secret.until is None or now < secret.until

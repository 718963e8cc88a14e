"""Documents of webhooks and evidence."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, SecretStr, StringConstraints

from streamguard.alerts import DeliveryStatus, Rule, Status
from streamguard.server.documents import Document

Format = Literal["streamguard", "cloudevents", "ms-graph"]
AnyFormat = Literal["streamguard", "cloudevents", "ms-graph", "notice"]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
Name = Annotated[str, StringConstraints(max_length=256)]
Secret = Annotated[SecretStr, Field(max_length=200, description="`whsec_` and base64 of 24 to 64 random bytes.")]


class WebhookDocument(Document):
    """One subscription, without its secret."""

    id: str
    name: str
    url: str
    format: AnyFormat = Field(description="notice: to people, by a rule of the configuration file; its URL is hidden.")
    rule: Rule
    status: Status = Field(description="disabled: the endpoint answered 410; resume it to send again.")
    reason: str = Field(description="Why it is not sent to.")
    created: datetime
    changed: datetime
    wait_until: datetime | None = Field(description="Nothing is sent before: the endpoint asked for it.")


class WebhooksDocument(Document):
    """All subscriptions, oldest first."""

    webhooks: list[WebhookDocument]


class WebhookSecretDocument(Document):
    """A new or rotated subscription."""

    webhook: WebhookDocument
    secret: str = Field(description="Verifies the messages. Shown here and never again.")


class NewWebhook(Document):
    """A subscription to make."""

    url: Url = Field(description="https, to a public address unless the operator allows others.")
    name: Name = ""
    format: Format = "streamguard"
    rule: Rule = Field(default_factory=Rule, description="Events that are sent, and when.")
    secret: Secret | None = Field(default=None, description="Default: one is made.")


class WebhookChange(Document):
    """Changes to a webhook."""

    url: Url | None = None
    name: Name | None = None
    format: Format | None = None
    rule: Rule | None = Field(default=None, description="Replaces the whole rule.")


class WebhookRotation(Document):
    """A new secret."""

    secret: Secret | None = Field(default=None, description="Default: one is made.")
    overlap_seconds: Annotated[float, Field(ge=0, le=30 * 86_400)] = Field(
        default=86_400.0, description="How long the old secret goes on signing beside the new one."
    )


class DeliveryDocument(Document):
    """One message to one subscription."""

    id: str = Field(description="The header `webhook-id`: the same at every try and replay.")
    webhook: str
    event: str
    kind: str = Field(description="An event's kind, or `webhook.test`.")
    at: datetime = Field(description="When it happened.")
    status: DeliveryStatus = Field(description="dead: every try failed; cancelled: disabled before it was sent.")
    attempts: int
    next_try: datetime | None = Field(description="When it is tried next; null unless pending.")
    code: int | None = Field(description="HTTP status of the last answer.")
    answer: str = Field(description="The beginning of the last answer, or why there was none.")
    created: datetime
    done: datetime | None


class DeliveriesDocument(Document):
    """Deliveries, newest first."""

    deliveries: list[DeliveryDocument]
    next: int | None = Field(description="Cursor of the next page; null on the last one.")


class DeliveryQuery(Document):
    """Which deliveries."""

    status: DeliveryStatus | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None


class ReplayRange(Document):
    """Period to send again: all events in `since <= t < until`."""

    since: AwareDatetime
    until: AwareDatetime


class ReplayedDocument(Document):
    """Messages that are sent again."""

    deliveries: int


class EvidenceDocument(Document):
    """Evidence: kept or not, and the key that verifies it."""

    enabled: bool
    public_key: str | None = Field(description="Ed25519, base64 of 32 bytes: verifies the manifests.")


class ErasedDocument(Document):
    """Result of an erasure."""

    events: int = Field(description="Events whose evidence is gone.")
    incidents: int = Field(description="Incidents that are gone, with their events and scores.")


class EraseQuery(Document):
    """Options of an erasure, beside evidence and pictures."""

    incidents: Annotated[int, Field(ge=0, le=1)] = Field(
        default=0, description="1: the stream's closed incidents, too, with events, scores, marks and notes."
    )


class EvidenceQuery(Document):
    """Request of a signed link."""

    expires: Annotated[str, StringConstraints(max_length=20)] = ""
    signature: Annotated[str, StringConstraints(max_length=128)] = ""

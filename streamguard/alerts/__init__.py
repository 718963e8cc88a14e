"""Alerts that are not lost: events, rules, a durable outbox, signed webhooks."""

from streamguard.alerts.audit import AuditEntry, AuditLog
from streamguard.alerts.database import Database
from streamguard.alerts.deliverer import Deliverer, Limits
from streamguard.alerts.deliveries import Deliveries, Delivery, DeliveryStatus
from streamguard.alerts.documents import event_schema
from streamguard.alerts.fencing import Fence
from streamguard.alerts.formats import FORMATS, Payload, render_payload
from streamguard.alerts.history import History, Search
from streamguard.alerts.incident_rows import Incident, Mark, Sample, Samples
from streamguard.alerts.kept_streams import KeptStream, KeptStreams
from streamguard.alerts.keys import Sealer, key_of, new_secret
from streamguard.alerts.notices import NoticeOptions, Notifier, check_notice
from streamguard.alerts.outbox import Outbox, Recorded
from streamguard.alerts.queue import AttemptOutcome
from streamguard.alerts.rules import QuietHours, Rule, read_rule
from streamguard.alerts.sender import WebhookSender
from streamguard.alerts.service import Alerts
from streamguard.alerts.subscriptions import Created, Status, Subscription, Subscriptions
from streamguard.alerts.tally import Backlog, Latencies
from streamguard.alerts.targets import TargetPolicy, read_networks

__all__ = [
    "FORMATS",
    "Alerts",
    "AttemptOutcome",
    "AuditEntry",
    "AuditLog",
    "Backlog",
    "Created",
    "Database",
    "Deliverer",
    "Deliveries",
    "Delivery",
    "DeliveryStatus",
    "Fence",
    "History",
    "Incident",
    "KeptStream",
    "KeptStreams",
    "Latencies",
    "Limits",
    "Mark",
    "NoticeOptions",
    "Notifier",
    "Outbox",
    "Payload",
    "QuietHours",
    "Recorded",
    "Rule",
    "Sample",
    "Samples",
    "Sealer",
    "Search",
    "Status",
    "Subscription",
    "Subscriptions",
    "TargetPolicy",
    "WebhookSender",
    "check_notice",
    "event_schema",
    "key_of",
    "new_secret",
    "read_networks",
    "read_rule",
    "render_payload",
]

"""Alerts that are not lost: events, rules, a durable outbox, signed webhooks."""

from streamguard.alerts.database import Database
from streamguard.alerts.deliverer import Deliverer, Limits
from streamguard.alerts.deliveries import Deliveries, Delivery, DeliveryStatus
from streamguard.alerts.documents import event_schema
from streamguard.alerts.formats import FORMATS, Message, render
from streamguard.alerts.keys import Sealer, key_of, new_secret
from streamguard.alerts.outbox import Outbox, Recorded
from streamguard.alerts.queue import Outcome
from streamguard.alerts.rules import QuietHours, Rule, read_rule
from streamguard.alerts.sender import Sender
from streamguard.alerts.service import Alerts
from streamguard.alerts.subscriptions import Created, Status, Subscription, Subscriptions
from streamguard.alerts.tally import Backlog, Latencies
from streamguard.alerts.targets import TargetPolicy, read_networks

__all__ = [
    "FORMATS",
    "Alerts",
    "Backlog",
    "Created",
    "Database",
    "Deliverer",
    "Deliveries",
    "Delivery",
    "DeliveryStatus",
    "Latencies",
    "Limits",
    "Message",
    "Outbox",
    "Outcome",
    "QuietHours",
    "Recorded",
    "Rule",
    "Sealer",
    "Sender",
    "Status",
    "Subscription",
    "Subscriptions",
    "TargetPolicy",
    "event_schema",
    "key_of",
    "new_secret",
    "read_networks",
    "read_rule",
    "render",
]

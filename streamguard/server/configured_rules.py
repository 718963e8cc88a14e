"""The rules of the configuration, kept as subscriptions beside those made over the API."""

from __future__ import annotations

import hashlib

from streamguard.alerts import Subscriptions
from streamguard.alerts.formats import PEOPLE
from streamguard.config import Config, RuleSettings, subscribed
from streamguard.errors import ConfigError, SubscriptionError

_PREFIX = "sub_cfg_"


def subscription_id(rule: str) -> str:
    """The id of a rule's subscription: the same on every server and after every start."""
    return _PREFIX + hashlib.sha256(rule.encode()).hexdigest()[:20]


async def check_rules(subscriptions: Subscriptions, config: Config) -> None:
    """Return whether all rules can be settled.

    Raises:
        ConfigError: a URL leads where webhooks may not go.
    """
    for rule in config.rules:
        try:
            await subscriptions.check_url(rule.url.get_secret_value(), rule.format)
        except SubscriptionError as error:
            raise ConfigError(f"rules.{rule.name}.url", error.cause, error.remedy) from None


async def settle_rules(subscriptions: Subscriptions, config: Config, before: Config | None = None) -> None:
    """Make, change and delete subscriptions until they are what the configuration says. May be repeated.

    A rule that is changed keeps what it has raised, and what waits to be sent. One that was paused stays so.

    Args:
        subscriptions: of the database.
        config: says what is to be.
        before: what was settled last; None if nobody knows, after a start.

    Raises:
        SubscriptionError: a URL or the number of subscriptions; OutboxError: the database. What was done until then
            stays done.
    """
    present = {each.id: each for each in await subscriptions.list() if each.id.startswith(_PREFIX)}
    kept = {rule.name: rule for rule in before.rules} if before else {}
    for rule in config.rules:
        id, wanted, url = subscription_id(rule.name), subscribed(rule, config.streams), rule.url.get_secret_value()
        old = present.pop(id, None)
        secret = rule.secret.get_secret_value() if rule.secret else ""
        if old is not None and old.format != rule.format and PEOPLE in {old.format, rule.format}:
            # What waits was written for the other kind.
            await subscriptions.delete(id)
            old = None
        if old is None:
            await subscriptions.create(url, rule=wanted, format=rule.format, name=_title(rule), secret=secret, id=id)
            continue
        # The address of a notice is a secret, and cannot be read back.
        same = (known := kept.get(rule.name)) is not None and known.url == rule.url if rule.notice else old.url == url
        if not same or (old.rule, old.format, old.name) != (wanted, rule.format, _title(rule)):
            moved = None if same else url
            await subscriptions.change(id, url=moved, rule=wanted, format=rule.format, name=_title(rule))
        if not rule.notice and ((known := kept.get(rule.name)) is None or known.secret != rule.secret):
            await subscriptions.rotate(id, secret=secret)
    for id in present:
        await subscriptions.delete(id)


def _title(rule: RuleSettings) -> str:
    return f"{rule.name} (configuration file)"

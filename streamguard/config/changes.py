"""The difference between two configurations, as a value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from streamguard.config.streams import RuleSettings, StreamSettings
from streamguard.config.whole import Config

T = TypeVar("T", StreamSettings, RuleSettings)

TABLES = ("server", "engine", "alerts", "evidence", "checks")


@dataclass(frozen=True, slots=True)
class Entries(Generic[T]):
    """Difference of the named entries of a list.

    Attributes:
        added, changed: entries as they are to be.
        removed: names of those that are to go.
        order: names as they are to stand; empty where what is added just follows what stays.
    """

    added: tuple[T, ...] = ()
    changed: tuple[T, ...] = ()
    removed: tuple[str, ...] = ()
    order: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.changed or self.removed or self.order)

    def applied(self, before: Sequence[T]) -> list[T]:
        """The entries as they are to be."""
        changed = {entry.name: entry for entry in self.changed}
        after = [changed.get(entry.name, entry) for entry in before if entry.name not in self.removed]
        after += self.added
        if self.order:
            after.sort(key=lambda entry: self.order.index(entry.name))
        return after


@dataclass(frozen=True, slots=True)
class Changes:
    """Difference between two configurations.

    Attributes:
        values: dotted key, `table.key` -> value, of what is neither a stream nor a rule.
        streams, rules: entries by name.
    """

    values: tuple[tuple[str, Any], ...] = ()
    streams: Entries[StreamSettings] = Entries()
    rules: Entries[RuleSettings] = Entries()

    def __bool__(self) -> bool:
        return bool(self.values or self.streams or self.rules)

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys of `values`."""
        return tuple(key for key, _ in self.values)


def diff(before: Config, after: Config) -> Changes:
    """Return what to change in `before` to have `after`; false if they are equal."""
    values = tuple(
        (f"{table}.{key}", new)
        for table in TABLES
        for key in type(getattr(after, table)).model_fields
        if (new := getattr(getattr(after, table), key)) != getattr(getattr(before, table), key)
    )
    return Changes(values, _entries(before.streams, after.streams), _entries(before.rules, after.rules))


def apply(changes: Changes, before: Config) -> Config:
    """`before` with the changes made."""
    tables: dict[str, dict[str, Any]] = {}
    for key, value in changes.values:
        table, _, name = key.partition(".")
        tables.setdefault(table, {})[name] = value
    made: dict[str, Any] = {table: getattr(before, table).model_copy(update=update) for table, update in tables.items()}
    made["streams"] = changes.streams.applied(before.streams)
    made["rules"] = changes.rules.applied(before.rules)
    return before.model_copy(update=made)


def _entries(before: Sequence[T], after: Sequence[T]) -> Entries[T]:
    old, new = {entry.name: entry for entry in before}, {entry.name: entry for entry in after}
    found = Entries(
        added=tuple(entry for entry in after if entry.name not in old),
        changed=tuple(entry for entry in after if entry.name in old and old[entry.name] != entry),
        removed=tuple(name for name in old if name not in new),
    )
    if found.applied(before) == list(after):
        return found
    return Entries(found.added, found.changed, found.removed, tuple(new))

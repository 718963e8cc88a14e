"""Plugins through entry points; what is built in comes through the same door."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from typing import TypeVar

from streamguard.errors import ConfigError

T = TypeVar("T")


def collect(
    group: str,
    builtins: Mapping[str, str],
    check: Callable[[object], T],
    installed: Iterable[metadata.EntryPoint] | None = None,
) -> dict[str, T]:
    """Load every plugin of an entry-point group: the built-in ones first, then those of installed packages.

    Args:
        group: the entry-point group, for example `streamguard.engines`.
        builtins: name -> `module:attribute`, the form that entry points have.
        check: turns the loaded object into the plugin, or raises TypeError saying what is missing.
        installed: entry points to use in place of the installed packages' ones.

    Returns:
        name -> plugin, in order of loading.

    Raises:
        ConfigError: a name is taken twice, or a plugin cannot be loaded or is not of the right kind. A broken
            plugin is never skipped: what the operator installed must run or be removed.
    """
    points = [metadata.EntryPoint(name, value, group) for name, value in builtins.items()]
    points += metadata.entry_points(group=group) if installed is None else installed
    found: dict[str, T] = {}
    for point in points:
        thing = f"plugin `{point.name}` of {_owner(point)}"
        if point.name in found:
            raise ConfigError(
                thing, f"another {group} plugin has that name already", "uninstall one of the two packages"
            )
        try:
            found[point.name] = check(point.load())
        except Exception as error:
            cause = f"cannot be loaded from `{point.value}` ({type(error).__name__}: {error})"
            raise ConfigError(thing, cause, "update or uninstall the package that brings it") from error
    return found


def _owner(point: metadata.EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "streamguard"

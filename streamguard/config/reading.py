"""Reads the configuration, and tells everything that is wrong with it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from streamguard.config.keys import Path, example, model_at, nearest, shown
from streamguard.config.layers import Layers, lay_environment, lay_file, lay_options, read_secrets
from streamguard.config.whole import Config, Contradiction
from streamguard.config.wording import cause
from streamguard.errors import ConfigError, InvalidConfig


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration and where its values come from."""

    config: Config
    layers: Layers


def read_config(path: FilePath | None = None, options: Mapping[str, Any] | None = None) -> Config:
    """The configuration from a TOML file, the environment, and the command line.

    Args:
        path: the file; None for none.
        options: values that go before all others, by dotted key; None is none.

    Raises:
        InvalidConfig: something is wrong; it holds every problem, and no secret.
    """
    return load_config(path, options).config


def load_config(path: FilePath | None = None, options: Mapping[str, Any] | None = None) -> Loaded:
    """Read as `read_config` does, and keep the origin of each value."""
    layers = Layers()
    if path is not None:
        lay_file(layers, path)
    lay_environment(layers)
    lay_options(layers, options or {})
    read_secrets(layers)
    config, wrong = _validated(layers)
    problems = [*layers.problems, *wrong, *(_unreadable(layers, config) if config else ())]
    if problems or config is None:
        raise InvalidConfig.of(problems)
    return Loaded(config, layers)


def _validated(layers: Layers) -> tuple[Config | None, list[ConfigError]]:
    """The configuration if it is right, else its problems.

    What does not fit together shows only once each value is right for itself: so wrong ones are taken out, and the
    rest is looked at again, with examples for what must be there.
    """
    values, taken_out, told_once = copy.deepcopy(layers.values), set[str](), set[tuple[str, str]]()
    problems: list[ConfigError] = []
    while True:
        before = copy.deepcopy(values)
        try:
            return Config.model_validate(values), problems
        except ValidationError as error:
            wrong = error.errors(include_input=False, include_url=False)
        again = False
        for each in wrong:
            path: Path = each["loc"]
            if each["type"] == "contradiction":
                found: Iterable[Contradiction] = each["ctx"]["found"]
                unspoilt = (one for one in found if not any(_touches(key, taken_out) for key in one.keys))
                problems += [_problem(layers, one.keys[0], one.cause, one.remedy) for one in unspoilt]
                continue
            again = True
            if each["type"] in {"too_short", "value_error"} and _touches(shown(path, values), taken_out):
                # What was wrong in it is told already.
                continue
            told = _told(layers, values, each)
            if (told.thing, told.cause) not in told_once and not _secret_unread(values, path):
                told_once.add((told.thing, told.cause))
                problems.append(told)
        if not again:
            return None, problems
        taken_out.update(shown(each["loc"], values) for each in wrong if each["loc"])
        doomed = {_mended(values, each["loc"], unknown=each["type"] == "extra_forbidden") for each in wrong}
        # Last places first: taking one out moves those behind it.
        for path in sorted(doomed - {()}, reverse=True):
            entries, place = _at(values, path[:-1]), int(path[-1])
            # What it was in may be gone already.
            if isinstance(entries, list):
                del entries[place : place + 1]
        if values == before:
            return None, problems


def _unreadable(layers: Layers, config: Config) -> Iterator[ConfigError]:
    """Files that the configuration names and nobody can read."""
    named: dict[str, FilePath | None] = {"alerts.ca_file": config.alerts.ca_file}
    if config.server.tls is not None:
        named |= {"server.tls.certificate": config.server.tls.certificate, "server.tls.key": config.server.tls.key}
    for key, path in named.items():
        if path is not None:
            try:
                with path.open("rb"):
                    pass
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is no path"
                yield _problem(layers, key, f"{path} cannot be read ({reason})", "check the path and its rights")


def _told(layers: Layers, values: Any, error: ErrorDetails) -> ConfigError:
    path: Path = error["loc"]
    key = shown(path, values)
    if error["type"] == "extra_forbidden":
        return _problem(layers, key, "there is no such key", nearest(path), path)
    if error["type"] == "missing":
        return _problem(layers, key, "it is missing", "add it", path)
    return _problem(layers, key, cause(error), "correct the value", path)


def _problem(layers: Layers, key: str, what: str, remedy: str, path: Path | None = None) -> ConfigError:
    origin = layers.whereabouts(tuple(key.split(".")) if path is None else path)
    return ConfigError(f"{origin}, {key}" if origin else key, what, remedy)


def _secret_unread(values: Any, path: Path) -> bool:
    """Return whether the secret's file could not be read, which is told already."""
    table = _at(values, path[:-1])
    return isinstance(table, dict) and f"{path[-1]}_file" in table and not table.get(str(path[-1]))


def _touches(key: str, taken_out: set[str]) -> bool:
    return any(f"{one}.".startswith(f"{key}.") or f"{key}.".startswith(f"{one}.") for one in taken_out) or any(
        one.startswith(f"{key}[") for one in taken_out
    )


def _mended(values: Any, path: Path, *, unknown: bool) -> Path:
    """Take out what is wrong, or put an example in its place; where neither will do, the path of the list's entry
    that has to go, else ()."""
    for depth in range(len(path) - 1, -1, -1):
        table, key, here = _at(values, path[:depth]), path[depth], path[: depth + 1]
        if isinstance(key, int):
            return here
        model, substitute = model_at(path[:depth]), example(here)
        needed = model is not None and key in model.model_fields and model.model_fields[key].is_required()
        if not isinstance(table, dict):
            continue
        if substitute is not None and not unknown:
            table[key] = copy.deepcopy(substitute)
        elif unknown or not needed:
            table.pop(key, None)
        else:
            continue
        return ()
    return ()


def _at(values: Any, path: Path) -> Any:
    """Return the value at a path; None where there is none any more."""
    for key in path:
        if isinstance(key, int):
            values = values[key] if isinstance(values, list) and key < len(values) else None
        else:
            values = values.get(key) if isinstance(values, dict) else None
    return values

"""Layers that values come from: defaults, the file, the environment, files with secrets, the command line."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any

from pydantic import BaseModel
from pydantic_settings import EnvSettingsSource

from streamguard.config.keys import Path, is_list, model_in, shown
from streamguard.config.whole import DELIMITER, PREFIX, Config
from streamguard.errors import ConfigError

_PLACE = re.compile(r"\(at line (\d+), column (\d+)\)")
_TAKEN = frozenset({f"{PREFIX}SERVER"})
"""Names of the environment that mean something else: the server that `streamguard webhook` talks to."""
_LONGEST_SECRET = 64 * 1024


@dataclass(slots=True)
class Layers:
    """Values laid over each other.

    Attributes:
        values: as nested tables.
        origins: path of a value or list -> where it comes from; lists come from one place.
        tables: path of a table -> where it was first named.
        problems: what was found wrong in reading.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    tables: dict[Path, str] = field(default_factory=dict)
    problems: list[ConfigError] = field(default_factory=list)

    def lay(self, values: Mapping[str, Any], origin: str) -> None:
        """Put further values over those there are: tables are merged, everything else is replaced."""
        self._merge(self.values, values, origin, ())

    def origin(self, path: Path) -> str:
        """Return where the value at a path comes from; `default` where it is given nowhere."""
        values: Any = self.values
        for key in path:
            if not (isinstance(values, list) if isinstance(key, int) else isinstance(values, dict) and key in values):
                return "default"
            values = values[key]
        return self.whereabouts(path) or "default"

    def whereabouts(self, path: Path) -> str:
        """Return where a value is given or would be: its own origin, or that of the list or table it is in."""
        for known in (self.origins, self.tables):
            for length in range(len(path), 0, -1):
                if path[:length] in known:
                    return known[path[:length]]
        return ""

    def _merge(self, below: dict[str, Any], above: Mapping[str, Any], origin: str, path: Path) -> None:
        for key, value in above.items():
            here = (*path, key)
            if isinstance(value, Mapping):
                if not isinstance(below.get(key), dict):
                    below[key] = {}
                self.tables.setdefault(here, origin)
                self._merge(below[key], value, origin, here)
            else:
                below[key] = value
                self.origins[here] = origin
                # A secret that was given in another way below is not meant any more.
                other = key.removesuffix("_file") if key.endswith("_file") else f"{key}_file"
                if other not in above:
                    below.pop(other, None)


def lay_file(layers: Layers, path: FilePath) -> None:
    """Read the TOML file."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        layers.problems.append(ConfigError(f"{path}:{line}", "it is not UTF-8", "save the file as UTF-8"))
        return
    except OSError as error:
        cause = f"it cannot be read ({error.strerror})"
        layers.problems.append(ConfigError(str(path), cause, "check the path and its rights"))
        return
    try:
        values = tomllib.loads(text)
    except RecursionError:
        layers.problems.append(ConfigError(str(path), "it is no TOML (nested too deeply)", "correct the file"))
        return
    except ValueError as error:
        place = _PLACE.search(str(error))
        line = int(place[1]) if place else text.count("\n") + 1
        cause = _PLACE.sub("", str(error)).strip()
        layers.problems.append(ConfigError(f"{path}:{line}", f"it is no TOML ({cause})", "correct that line"))
        return
    layers.lay(values, str(path))


def lay_environment(layers: Layers) -> None:
    """Read the environment: `STREAMGUARD_` and the keys in capitals, `__` between them; tables and lists as JSON."""
    # A whole table first, so that its keys one by one go over it.
    for name in sorted(os.environ, key=lambda name: (name.count(DELIMITER), name)):
        value = os.environ[name]
        if not name.upper().startswith(PREFIX) or name.upper() in _TAKEN or not value:
            continue
        source = EnvSettingsSource(Config, case_sensitive=False)
        source.env_vars = {name.lower(): value}
        try:
            found = source()
        except ValueError:
            layers.problems.append(ConfigError(name, "it is no JSON", "write tables and lists as JSON"))
            continue
        # What has no part's name in front belongs to somebody else.
        if not found and DELIMITER in name:
            known = ", ".join(f"{PREFIX}{part.upper()}{DELIMITER}" for part in Config.model_fields)
            layers.problems.append(ConfigError(name, "there is no such setting", f"begin with one of {known}"))
        layers.lay(found, f"environment {name}")


def lay_options(layers: Layers, options: Mapping[str, Any]) -> None:
    """Lay the command line's values over the others.

    Args:
        layers: what lies below.
        options: dotted key -> value; `server.host` and `server.port` are parts of `server.listen`. None is none.
    """
    given = {key: value for key, value in options.items() if value is not None}
    host, port = given.pop("server.host", None), given.pop("server.port", None)
    if host is not None or port is not None:
        server = layers.values.get("server")
        below = server.get("listen") if isinstance(server, dict) else None
        old_host, _, old_port = str(below or Config().server.listen).rpartition(":")
        new_host = old_host if host is None else f"[{host}]" if ":" in host else host
        given["server.listen"] = f"{new_host}:{old_port if port is None else port}"
    for key, value in given.items():
        nested: Any = value
        for part in reversed(key.split(".")):
            nested = {part: nested}
        layers.lay(nested, "command line")


def read_secrets(layers: Layers) -> None:
    """Put what the `*_file` keys name into the secrets they stand for."""
    for table, name, path in tuple(_secret_files(Config, layers.values, ())):
        file, secret, named = table[f"{name}_file"], (*path, name), (*path, f"{name}_file")
        if name in table:
            cause, remedy = f"both `{name}` and `{name}_file` are given", "remove one of the two"
        else:
            try:
                with FilePath(str(file)).open(encoding="utf-8") as opened:
                    table[name] = opened.read(_LONGEST_SECRET).strip()
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "it is no text"
                cause, remedy = f"{file} cannot be read ({reason})", "check the path and its rights"
                # Something must stand there, or it would be told as missing, too.
                table[name] = None
            else:
                layers.origins[secret] = f"file {file}"
                if table[name]:
                    continue
                cause, remedy = f"{file} is empty", f"put the {name} into it"
        layers.problems.append(ConfigError(f"{layers.origin(named)}, {shown(named, layers.values)}", cause, remedy))


def _secret_files(model: type[BaseModel], values: Any, path: Path) -> Iterator[tuple[dict[str, Any], str, Path]]:
    """(table, name of the secret, path of the table) of each `NAME_file` beside a `NAME` that is given."""
    if not isinstance(values, dict):
        return
    for name, each in model.model_fields.items():
        value = values.get(name)
        if name.removesuffix("_file") != name and name.removesuffix("_file") in model.model_fields and value:
            yield values, name.removesuffix("_file"), path
        inner = model_in(each.annotation)
        if inner is None:
            continue
        if is_list(each.annotation):
            for place, entry in enumerate(value if isinstance(value, list) else ()):
                yield from _secret_files(inner, entry, (*path, name, place))
        else:
            yield from _secret_files(inner, value, (*path, name))

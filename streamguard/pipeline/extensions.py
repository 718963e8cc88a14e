"""Sources and face detectors of other packages, found by entry points beside the built-in ones.

In the `pyproject.toml` of a plugin::

    [project.entry-points."streamguard.sources"]
    myscheme = "my_package:frames"          # opens myscheme:// URLs

    [project.entry-points."streamguard.detectors"]
    mydetector = "my_package:MyDetector"    # WatchOptions(detector="mydetector")
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import cache, partial
from typing import Any, TypeAlias

from streamguard.errors import ConfigError
from streamguard.faces import FaceDetector
from streamguard.media import SourceItem
from streamguard.media.supervisor import Connect
from streamguard.plugins import collect

SOURCES = "streamguard.sources"
DETECTORS = "streamguard.detectors"
DEFAULT_DETECTOR = "centerface"

Source: TypeAlias = Callable[[str, str], AsyncGenerator[SourceItem, None]]
"""Stream name and URL -> `Up`, frames, `Down`; ends, or raises a StreamguardError. It retries by itself;
the server opens one that raised again."""


@cache
def source_plugins() -> Mapping[str, Source]:
    """The sources of installed packages, by URL scheme.

    Raises:
        ConfigError: a plugin cannot be loaded, or two have one name.
    """
    return collect(SOURCES, {}, _callable)


def source_of(url: str, stream: str) -> str | Connect:
    """Return what opens the URL, for `SourceSupervisor`: the source of a plugin, or the URL itself.

    Raises:
        ConfigError: as `source_plugins`.
    """
    match = re.match(r"([A-Za-z][A-Za-z0-9+.\-]*)://", url)
    plugin = source_plugins().get(match[1].lower()) if match else None
    return url if plugin is None else partial(plugin, stream, url)


@cache
def detectors() -> Mapping[str, Callable[[], FaceDetector]]:
    """Factories of face detectors by name: the built-in one and those of installed packages.

    Raises:
        ConfigError: as `source_plugins`.
    """
    return collect(DETECTORS, {DEFAULT_DETECTOR: "streamguard.faces:CenterFaceDetector"}, _callable)


def make_detector(name: str) -> FaceDetector:
    """A face detector of one stream's own.

    Raises:
        ConfigError: there is none of that name, or a plugin cannot be loaded.
    """
    known = detectors()
    if name not in known:
        raise ConfigError(name, "no face detector of that name", f"choose one of {', '.join(known)}")
    made = known[name]()
    if not hasattr(made, "detect"):
        raise ConfigError(name, "what the plugin makes has no `detect`", "update or uninstall it")
    return made


def _callable(loaded: object) -> Any:
    if not callable(loaded):
        raise TypeError("it cannot be called")
    return loaded

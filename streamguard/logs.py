"""Logging: `get_logger` for every module, `log_fields` for what a whole task's lines bear, `set_up_logs` for commands.

A line is an event and its fields. It goes through the standard library's logging, so that a program that embeds
streamguard keeps its own handlers; only `set_up_logs` changes them, and only commands call it.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Literal

import structlog
from structlog.contextvars import bound_contextvars as log_fields
from structlog.typing import EventDict, Processor, WrappedLogger

__all__ = ["get_logger", "log_fields", "set_up_logs"]


class _Line(dict[str, Any]):
    """An event and its fields, of which structlog's formatter sees each; any other writes them as one text."""

    def __str__(self) -> str:
        fields = ", ".join(f"{name}={value}" for name, value in self.items() if name not in ("event", "exc_info"))
        return f"{self['event']}: {fields}" if fields else str(self["event"])


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger whose methods take an event and its fields: `log.info("stream up", stream=name)`.

    Args:
        name: of the standard library's logger below it; it begins with `streamguard`.
    """
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, _as_record],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def set_up_logs(level: Literal["debug", "info", "warning", "error"], form: Literal["json", "text"]) -> None:
    """Write the lines of this process, ours and the libraries', to stderr, one a line.

    Args:
        level: the least that is written; libraries write warnings and worse only.
        form: JSON for machines, text for people.
    """
    every: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
    ]
    if form == "json":
        # Local variables stay out: tokens and addresses with passwords are among them.
        traces = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        every += [structlog.processors.ExceptionRenderer(traces), structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.plain_traceback
        every += [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    handler = logging.StreamHandler(sys.stderr)
    extras = structlog.stdlib.ExtraAdder()
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[extras], processors=every))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("streamguard").setLevel(level.upper())


def _as_record(logger: WrappedLogger, name: str, event: EventDict) -> tuple[tuple[_Line], dict[str, Any]]:
    """Hand the line over as structlog's `wrap_for_formatter` does, but readable by other formatters too."""
    kept = {"extra": {"_logger": logger, "_name": name}, "exc_info": event.get("exc_info")}
    return (_Line(event),), kept

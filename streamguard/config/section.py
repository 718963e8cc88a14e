"""Building blocks of the configuration's parts."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, Secret

from streamguard.errors import redact

STREAM_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
LIVE_NAME = STREAM_NAME[:-1] + r"(/[^\s/\\?#%]{1,64})?$"
"""Of any stream: a participant's in a conference room is `room/participant`."""


class Location(Secret[str]):
    """A URL or path with a password perhaps: shown with its secrets hidden."""

    def _display(self) -> str:
        return redact(self.get_secret_value())


def _secret_or_its_file(schema: dict[str, Any]) -> None:
    """Let the schema take `NAME_file` in place of a secret that is needed."""
    either = [name for name in schema.get("required", ()) if f"{name}_file" in schema["properties"]]
    if either:
        schema["required"] = [name for name in schema["required"] if name not in either]
        schema["allOf"] = [{"oneOf": [{"required": [name]}, {"required": [f"{name}_file"]}]} for name in either]


class Receiver(Location):
    """Where messages go: of a notice even the host may be a token."""

    def _display(self) -> str:
        url = self.get_secret_value()
        return redact(url) if is_web(url) else f"{url.partition('://')[0]}://***"


def is_web(url: str) -> bool:
    """Return whether it is a http or https URL."""
    return url.lower().startswith(("https://", "http://"))


class Section(BaseModel):
    """Base of every part: unknown keys are refused, nothing can be changed."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, hide_input_in_errors=True, json_schema_extra=_secret_or_its_file
    )


def secret_file(of: str) -> Any:
    """The field beside a secret that names a file with it."""
    return Field(default=None, description=f"File that holds `{of}`, in its place.")

"""The part of the configuration about an MQTT broker, and what Home Assistant learns from it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from streamguard.config.section import Section, secret_file

Level = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64}){0,7}$")]
Command = Literal["pause", "add", "remove"]


class MqttSettings(Section):
    """A broker that is told how the streams do, in the way Home Assistant finds by itself (extra `mqtt`)."""

    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:_-]{1,255}$")] = Field(
        description="The broker's name or address.", examples=["broker.example"]
    )
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="Default: 8883 with TLS, 1883 without."
    )
    tls: bool = Field(default=True, description="Encrypt, and check the broker's certificate.")
    ca_file: Path | None = Field(default=None, description="PEM file of certificates trusted beside the system's.")
    username: Annotated[str, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="As the broker knows this server."
    )
    password: SecretStr | None = Field(default=None, description="For that name.")
    password_file: Path | None = secret_file("password")
    name: Level = Field(
        default="streamguard", description="This server's part of all topics; unique among those at one broker."
    )
    topic: Topic = Field(default="streamguard", description="What all topics begin with.")
    discovery: Topic = Field(default="homeassistant", description="Where Home Assistant looks for devices.")
    pictures: bool = Field(
        default=False, description="Publish the picture of the newest alert, retained: faces are personal data."
    )
    commands: frozenset[Command] = Field(
        default=frozenset(),
        description="What may be done over the broker, by whoever may write to its topics. Nothing by default.",
    )

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("password: it belongs to a username")
        if self.password is not None and not self.tls and not self.host.startswith(("127.", "localhost", "::1")):
            raise ValueError("password: without TLS anybody on the way reads it; set tls = true")
        if self.topic == self.discovery:
            raise ValueError("topic: it must not be the one of discovery")
        return self

    @property
    def where(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port or (8883 if self.tls else 1883)

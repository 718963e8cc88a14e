"""Webhook secrets: made, rotated, sealed at rest.

Secrets are shown once, when they are made. At rest they are encrypted (Fernet: AES-128-CBC and HMAC-SHA-256) by a
key that lies outside the database; they are in no log and no answer.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streamguard.errors import ConfigError, SubscriptionError

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64
"""Standard Webhooks: a symmetric secret holds 24 to 64 bytes."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """One signing secret.

    Attributes:
        text: `whsec_` and base64.
        until: UTC epoch seconds at which it stops signing; None for the present one.
    """

    text: str
    until: float | None = None

    def __repr__(self) -> str:
        return f"Secret(***, until={self.until})"


def new_secret() -> str:
    """A fresh secret of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(text: str) -> str:
    """The secret, if it is one.

    Raises:
        SubscriptionError: not `whsec_` and base64, or not 24 to 64 bytes long. The text is not told.
    """
    remedy = f"give {PREFIX} and the base64 of {LEAST_BYTES} to {MOST_BYTES} random bytes, or none to have one made"
    if not text.startswith(PREFIX):
        raise SubscriptionError("secret", f"it does not begin with {PREFIX}", remedy)
    try:
        raw = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SubscriptionError("secret", "it is not base64", remedy) from None
    if not LEAST_BYTES <= len(raw) <= MOST_BYTES:
        raise SubscriptionError("secret", f"it holds {len(raw)} bytes", remedy)
    return text


class Sealer:
    """Encrypts secrets for the database.

    Args:
        key: as `new_key` makes it.

    Raises:
        ConfigError: the key is not one.
    """

    def __init__(self, key: bytes) -> None:
        try:
            self._fernet = Fernet(key)
        except ValueError:
            raise ConfigError("alert key", "it is not 32 bytes in URL-safe base64", "restore the key file") from None

    @staticmethod
    def new_key() -> bytes:
        """A fresh key, URL-safe base64 of 32 bytes."""
        return Fernet.generate_key()

    def seal(self, kept: tuple[Secret, ...]) -> str:
        """The secrets as they may lie in the database."""
        document = [[secret.text, secret.until] for secret in kept]
        return self._fernet.encrypt(json.dumps(document).encode()).decode()

    def unseal(self, sealed: str) -> tuple[Secret, ...]:
        """The secrets.

        Raises:
            ConfigError: they were sealed by another key, or damaged.
        """
        try:
            document = json.loads(self._fernet.decrypt(sealed))
        except InvalidToken:
            cause = "the webhook secrets were sealed by another key"
            raise ConfigError("alert key", cause, "restore the key file, or rotate every subscription") from None
        return tuple(Secret(text, until) for text, until in document)

    def seal_text(self, text: str) -> str:
        """A text as it may lie in the database."""
        return self._fernet.encrypt(text.encode()).decode()

    def unseal_text(self, sealed: str) -> str:
        """The text.

        Raises:
            ConfigError: it was sealed by another key, or damaged.
        """
        try:
            return self._fernet.decrypt(sealed).decode()
        except InvalidToken:
            raise ConfigError("alert key", "a text was sealed by another key", "restore the key file") from None


def key_of(path: Path) -> bytes:
    """The key in the file; made on first use, readable by its owner only.

    Raises:
        ConfigError: the file can neither be read nor made, or others can read it.
    """
    try:
        # Made whole beside its place: of two processes that start at once, one wins and both read the same key.
        if not path.exists():
            partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(Sealer.new_key())
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(partial, path)
            except FileExistsError:
                pass
            finally:
                partial.unlink()
        if path.stat().st_mode & 0o077:
            raise ConfigError(str(path), "others than its owner can read the key", f"run chmod 600 {path}")
        return path.read_bytes().strip()
    except OSError as error:
        cause = f"the key file cannot be used ({error.strerror})"
        raise ConfigError(str(path), cause, "choose a folder that is there and writable") from error


def derived(key: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose out of the key of `key_of`, by HKDF-SHA-256 (RFC 5869): one file to keep safe."""
    return HKDF(SHA256(), 32, salt=None, info=f"streamguard {purpose}".encode()).derive(key)

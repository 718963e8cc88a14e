"""The manifest: what belongs to an alert, by hash, signed with Ed25519."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from streamguard.errors import ConfigError, EvidenceError
from streamguard.types import Event

SCHEMA = "streamguard.evidence/1"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
NOTICE = "An automated estimate that may be wrong."


class ManifestSigner:
    """Signs manifests.

    Args:
        key: 32 bytes, the private key (RFC 8032 seed).

    Raises:
        ConfigError: not 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        try:
            self._key = Ed25519PrivateKey.from_private_bytes(key)
        except ValueError:
            raise ConfigError("evidence key", "it is not 32 bytes", "restore the key file") from None

    @property
    def public_key(self) -> bytes:
        """Public key, 32 bytes, for those who verify."""
        raw = serialization.Encoding.Raw, serialization.PublicFormat.Raw
        return self._key.public_key().public_bytes(*raw)

    def files(self, event: Event, files: Mapping[str, bytes], config: str) -> dict[str, bytes]:
        """`manifest.json` and `manifest.sig` for an event's files.

        Args:
            event: the event; its model and engine carry their hashes.
            files: name -> bytes.
            config: hash of the configuration that was in force.
        """
        document = {
            "schema": SCHEMA,
            "event": {**asdict(event), "at": event.at.isoformat(), "evidence": list(event.evidence)},
            "model": event.model,
            "engine": event.engine,
            "config": config,
            "files": {name: {"sha256": _hash(data), "bytes": len(data)} for name, data in sorted(files.items())},
            "notice": NOTICE,
        }
        text = json.dumps(document, sort_keys=True, indent=1).encode()
        signature = {
            "algorithm": "Ed25519",
            "public_key": base64.b64encode(self.public_key).decode(),
            "signature": base64.b64encode(self._key.sign(text)).decode(),
        }
        return {MANIFEST: text, SIGNATURE: json.dumps(signature).encode()}


def verify_manifest(folder: Path, public_key: bytes) -> dict[str, Any]:
    """The manifest of a folder of evidence, once its signature and every file's hash hold.

    Args:
        folder: the files of one event.
        public_key: 32 bytes, known from elsewhere: the one beside the signature proves nothing.

    Raises:
        EvidenceError: a file is missing, was changed or does not belong, or the signature is not by that key.
    """
    try:
        text = (folder / MANIFEST).read_bytes()
        signature = base64.b64decode(json.loads((folder / SIGNATURE).read_bytes())["signature"])
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, text)
        document: dict[str, Any] = json.loads(text)
        found = {one.name: one for one in folder.iterdir()} if folder.is_dir() else {}
    except OSError as error:
        raise EvidenceError(str(folder), f"cannot be read ({error.strerror})", "copy the evidence again") from error
    except (InvalidSignature, ValueError, KeyError, TypeError):
        cause = "the manifest's signature is wrong"
        raise EvidenceError(str(folder), cause, "do not rely on it; check the public key") from None
    if foreign := sorted(set(found) - set(document["files"]) - {MANIFEST, SIGNATURE}):
        raise EvidenceError(str(folder), f"`{foreign[0]}` is not in the manifest", "do not rely on that file")
    for name, told in document["files"].items():
        if name not in found:
            raise EvidenceError(str(folder), f"`{name}` is missing", "copy the evidence again")
        if _hash(found[name].read_bytes()) != told["sha256"]:
            raise EvidenceError(str(folder), f"`{name}` was changed", "do not rely on it")
    return document


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

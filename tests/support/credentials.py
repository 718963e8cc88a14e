"""Files with Content Credentials, signed by the library's own signer with a chain made for the test."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
CAPTURE = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"


@dataclass(frozen=True)
class Authority:
    """A chain: its root, and a signer below it.

    Attributes:
        root: the authority's certificate, PEM.
        chain: the signer's certificate and the root, PEM.
        key: the signer's, PEM.
    """

    root: bytes
    chain: bytes
    key: bytes

    def signer(self) -> c2pa.Signer:
        """What signs, without a time stamp: nobody is asked over the network."""
        return c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", self.chain, self.key, None))  # type: ignore[arg-type]


def authority(organisation: str = "News Example", *, expired: bool = False) -> Authority:
    """A new chain whose signer is of that organisation."""
    now = datetime.now(UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def named(name: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )

    def begun(subject: str, public: Any, issuer: str) -> x509.CertificateBuilder:
        begins = now - timedelta(days=30)
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(issuer))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(now + timedelta(days=-1 if expired and subject == "camera" else 365))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        )

    def use(*, signs: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=not signs,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=signs,
            crl_sign=signs,
            encipher_only=False,
            decipher_only=False,
        )

    root = (
        begun("root", root_key.public_key(), "root")
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(use(signs=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    leaf = (
        begun("camera", key.public_key(), "root")
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(use(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = root.public_bytes(Encoding.PEM)
    return Authority(
        pem,
        leaf.public_bytes(Encoding.PEM) + pem,
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def sign(
    source: Path,
    target: Path,
    by: Authority,
    *,
    kind: str,
    source_type: str = CAPTURE,
    actions: tuple[str, ...] = (),
    padding: int = 0,
    remote: str = "",
) -> Path:
    """Sign a file.

    Args:
        source, target: what is signed, and where it goes.
        by: who signs.
        kind: its media type.
        source_type: what it is declared to have been made by.
        actions: what is declared to have been done to it later.
        padding: bytes of an assertion that says nothing.
        remote: URL where the manifest is said to lie, in place of in the file.
    """
    made: list[dict[str, Any]] = [{"action": "c2pa.created", "digitalSourceType": source_type}]
    made += [{"action": action} for action in actions]
    manifest: dict[str, Any] = {
        "claim_generator_info": [{"name": "test camera", "version": "1.0"}],
        "title": source.name,
        "assertions": [{"label": "c2pa.actions", "data": {"actions": made}}],
    }
    if padding:
        manifest["assertions"].append({"label": "example.padding", "data": {"text": "x" * padding}})
    builder = c2pa.Builder(json.dumps(manifest))
    if remote:
        builder.set_no_embed()
        builder.set_remote_url(remote)
    with source.open("rb") as reads, target.open("w+b") as writes, by.signer() as signer:
        builder.sign(signer, kind, reads, writes)
    builder.close()
    return target

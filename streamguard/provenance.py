"""Content Credentials (C2PA) of a file: who signed it, what it is declared to be, and whether that holds.

They are told beside a verdict and never change it: a signature says who vouches for a file, not what is in it. That
there are none says nothing. Read by `c2pa-python`, which asks nobody over the network here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from streamguard.errors import ConfigError, one_line
from streamguard.logs import get_logger

__all__ = [
    "AiUse",
    "Credentials",
    "CredentialsState",
    "credentials_told",
    "is_file",
    "load_anchors",
    "read_credentials",
]

log = get_logger(__name__)

CredentialsState: TypeAlias = Literal["none", "valid", "trusted", "invalid", "unreadable", "not_read"]
"""`valid`: signed and unchanged, by somebody for whom nobody vouches here; `trusted`: an authority does. `invalid`: it
was changed, or the signature does not hold. `not_read`: the library is missing, or it is no local file."""
AiUse: TypeAlias = Literal["generated", "edited"]

MOST_DOCUMENT = 2 * 1024 * 1024
"""Characters of what a manifest says; one that says more is not read."""
MOST_MANIFESTS = 64
MOST_TEXT, MOST_LISTED = 200, 20
MOST_ANCHORS = 4 * 1024 * 1024
_SOURCE = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_GENERATED = frozenset({f"{_SOURCE}trainedAlgorithmicMedia"})
_EDITED = frozenset({f"{_SOURCE}compositeWithTrainedAlgorithmicMedia"})
_BEGINNINGS = frozenset({"c2pa.created", "c2pa.opened"})
_UNTRUSTED = "signingCredential.untrusted"
_WHY = {
    "assertion.dataHash.mismatch": "the file was changed after it was signed",
    "assertion.bmffHash.mismatch": "the file was changed after it was signed",
    "assertion.boxesHash.mismatch": "the file was changed after it was signed",
    "assertion.hashedURI.mismatch": "what it declares was changed after it was signed",
    "assertion.missing": "something that it declares was taken out",
    "claimSignature.mismatch": "its signature is wrong",
    "claimSignature.missing": "it is not signed",
    "claimSignature.outsideValidity": "the signer's certificate was not in force",
    "signingCredential.expired": "the signer's certificate has expired",
    "signingCredential.invalid": "the signer's certificate is none for this",
    "signingCredential.revoked": "the signer's certificate was taken back",
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """Content Credentials of a file.

    Attributes:
        state: whether there are some, and whether they hold.
        signer: organisation of the signer's certificate; empty where there is none.
        signed: when, as a trusted clock says; empty where none did.
        tool: what made the newest claim.
        ai: what they declare AI to have made: all of it, or parts; None where they declare neither.
        edits: actions they declare after the beginning, such as `c2pa.cropped`.
        why: why they do not hold, or were not read.
    """

    state: CredentialsState
    signer: str = ""
    signed: str = ""
    tool: str = ""
    ai: AiUse | None = None
    edits: tuple[str, ...] = ()
    why: str = ""


def read_credentials(path: Path, anchors: str = "") -> Credentials:
    """The credentials in a file. Whatever is in it, nothing is raised. Reads the whole file: keep it off the loop.

    Args:
        path: a local file; of which kind is seen by its first bytes.
        anchors: certificates (PEM) of authorities whose word counts, as `load_anchors` reads them.
    """
    try:
        import c2pa
    except ModuleNotFoundError:
        return Credentials("not_read", why='c2pa-python is not installed: pip install "streamguard[provenance]"')
    except (ImportError, OSError) as error:
        log.warning("content credentials are not read", detail=one_line(str(error))[:MOST_TEXT])
        return Credentials("not_read", why="c2pa-python cannot be loaded")
    try:
        text = _manifests(c2pa, path, anchors)
        found = Credentials("none") if text is None else _credentials(json.loads(text))
    except OSError as error:
        found = Credentials("unreadable", why=f"the file cannot be read ({error.strerror or type(error).__name__})")
    except c2pa.C2paError as error:
        found = _failed(str(error))
    except Exception as error:
        # A damaged manifest, or a fault of the library's: neither is a reason to judge nothing.
        log.warning("content credentials are not read", fault=type(error).__name__)
        found = Credentials("unreadable", why="they are damaged")
    return found


def _manifests(library: Any, path: Path, anchors: str) -> str | None:
    """Return the library's report of all manifests in a file, as JSON; None for a file of a kind that has none."""
    # Nobody is asked: a file must not make the server open a connection.
    settings: dict[str, Any] = {
        "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": bool(anchors)}
    }
    if anchors:
        settings["trust"] = {"trust_anchors": anchors}
    with path.open("rb") as file:
        kind = _kind(file.read(16))
        if kind is None:
            return None
        file.seek(0)
        with library.Context.from_dict(settings) as context, library.Reader(kind, file, context=context) as reader:
            text = str(reader.json())
    if len(text) > MOST_DOCUMENT:
        raise OSError(None, "they say more than is read")
    return text


def is_file(source: str) -> bool:
    """Return whether a source is a file here, and neither a URL nor a camera."""
    return "://" not in source and not source.startswith("camera:") and Path(source).is_file()


def load_anchors(path: Path | None) -> str:
    """The certificates of authorities in a PEM file; empty for no file. Blocks.

    Raises:
        ConfigError: it cannot be read, or holds none.
    """
    if path is None:
        return ""
    try:
        with path.open(encoding="ascii") as file:
            text = file.read(MOST_ANCHORS)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(str(path), f"it cannot be read ({reason})", "give a PEM file of certificates") from None
    from cryptography import x509

    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ConfigError(str(path), "it holds no certificates", "give a PEM file of certificates") from None
    return text


def credentials_told(found: Credentials) -> list[str]:
    """Return sentences for people; the first says whether there are credentials and whether they hold."""
    told = [
        {
            "none": "No Content Credentials. That says nothing: most files have none.",
            "valid": f"Signed by {found.signer or 'somebody'}, and unchanged since. Whether the name is right was not "
            "checked: no authority vouches for it here.",
            "trusted": f"Signed by {found.signer or 'somebody'}, for whom a trusted authority vouches, and unchanged "
            "since.",
            "invalid": f"Content Credentials that do not hold: {found.why}. What they say must not be believed.",
            "unreadable": f"Content Credentials that cannot be read: {found.why}.",
            "not_read": f"Content Credentials were not read: {found.why}.",
        }[found.state]
    ]
    if found.state == "invalid" and found.signer:
        told.append(f"They name {found.signer} as their signer.")
    if found.ai == "generated":
        told.append("They declare it to be generated by AI.")
    elif found.ai == "edited":
        told.append("They declare parts of it to be made by AI.")
    if found.edits:
        told.append(f"They declare edits: {', '.join(edit.removeprefix('c2pa.') for edit in found.edits)}.")
    if found.signed:
        told.append(f"Signed at {found.signed}.")
    if found.tool:
        told.append(f"Made by {found.tool}.")
    return told


def _kind(head: bytes) -> str | None:
    """The media type of a file that may carry credentials, by its first 16 bytes."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"AVI ": "video/x-msvideo", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return "image/avif" if brand == b"avif" else "image/heic" if brand in {b"heic", b"mif1"} else "video/mp4"
    return None


def _failed(said: str) -> Credentials:
    if said.startswith("ManifestNotFound"):
        return Credentials("none")
    if said.startswith(("RemoteManifest", "Remote")) or "remote manifest" in said.lower():
        return Credentials("unreadable", why="they lie elsewhere on the network, which is not asked")
    if "asset could not be parsed" in said or said.startswith("NotSupported"):
        # The file is at fault, and the verdict tells so; whether it had some is not known.
        return Credentials("unreadable", why="the file is damaged, or of an unknown kind")
    return Credentials("unreadable", why="they are damaged")


def _credentials(document: Any) -> Credentials:
    manifests = _table(document, "manifests")
    active = _table(manifests, str(document.get("active_manifest", "")))
    signature = _table(active, "signature_info")
    generators = active.get("claim_generator_info")
    generator = generators[0] if isinstance(generators, list) and generators else {}
    made = " ".join(_text(_table({"x": generator}, "x").get(name)) for name in ("name", "version")).strip()
    actions = [action for each in list(manifests.values())[:MOST_MANIFESTS] for action in _actions(each)]
    sources = {str(action.get("digitalSourceType", "")) for action in actions}
    edits = dict.fromkeys(
        _text(action.get("action")) for action in _actions(active) if action.get("action") not in _BEGINNINGS
    )
    state, why = _state(document)
    return Credentials(
        state,
        signer=_text(signature.get("issuer")) or _text(signature.get("common_name")),
        signed=_text(signature.get("time")),
        tool=made or _text(active.get("claim_generator")),
        ai="generated" if sources & _GENERATED else "edited" if sources & _EDITED else None,
        edits=tuple(edit for edit in edits if edit)[:MOST_LISTED],
        why=why,
    )


def _state(document: dict[str, Any]) -> tuple[CredentialsState, str]:
    results = _table(document, "validation_results")
    failed = _table(results, "activeManifest").get("failure")
    codes = [str(each.get("code", "")) for each in failed if isinstance(each, dict)] if isinstance(failed, list) else []
    broken = [code for code in codes if code != _UNTRUSTED]
    if not broken and document.get("validation_state") == "Trusted":
        return "trusted", ""
    # An unknown authority alone takes nothing away: the signature and all hashes hold.
    if not broken and (document.get("validation_state") == "Valid" or codes):
        return "valid", ""
    why = next((_WHY[code] for code in broken if code in _WHY), broken[0] if broken else "they were found invalid")
    return "invalid", _text(why)


def _actions(manifest: Any) -> list[dict[str, Any]]:
    found = []
    assertions = manifest.get("assertions") if isinstance(manifest, dict) else None
    for each in assertions if isinstance(assertions, list) else ():
        if isinstance(each, dict) and str(each.get("label", "")).startswith("c2pa.actions"):
            listed = _table(each, "data").get("actions")
            found += [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return found


def _table(values: Any, name: str) -> dict[str, Any]:
    found = values.get(name) if isinstance(values, dict) else None
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    return one_line(value.strip())[:MOST_TEXT] if isinstance(value, str) else ""

"""Mapping of libav's and the system's errors to the project's own.

libav's messages repeat the URL with its password, so none of them is passed on, not even as a cause.
"""

from __future__ import annotations

import builtins
import errno
import socket
import ssl
from urllib.parse import urlsplit

import av
import av.error

from streamguard.errors import (
    CorruptMedia,
    OutputError,
    SourceEnded,
    SourceError,
    SourceNotFound,
    SourceRefused,
    SourceTimeout,
    SourceUnauthorized,
    SourceUntrusted,
    StreamguardError,
    UnsupportedMedia,
)
from streamguard.media.address import Address

_TLS_PORTS = {"https": 443, "rtsps": 322, "rtmps": 443}
_SECOND_LOOK = 3.0
"""Seconds to find out why a TLS host was left."""
_NO_ANSWER = ("no answer within the time limit", "Check host, port and firewall")
_ANSWERS: tuple[tuple[type[BaseException], type[StreamguardError], str, str], ...] = (
    (
        av.error.HTTPUnauthorizedError,
        SourceUnauthorized,
        "the source refused the credentials",
        "Check user and password",
    ),
    (av.error.HTTPForbiddenError, SourceUnauthorized, "the source refuses access", "Check user and password"),
    (av.error.HTTPNotFoundError, SourceNotFound, "the host knows no such path", "Check the path of the URL"),
    (av.error.HTTPClientError, SourceRefused, "the host refused the request", "Check the URL, or try later"),
    (av.error.HTTPServerError, SourceRefused, "the host reports a fault of its own", "Try again later"),
    (av.error.ExitError, SourceTimeout, *_NO_ANSWER),
    (TimeoutError, SourceTimeout, *_NO_ANSWER),
    (
        ConnectionRefusedError,
        SourceRefused,
        "connection refused",
        "Check that the server runs and the port is right",
    ),
    (
        av.error.ProtocolNotFoundError,
        UnsupportedMedia,
        "this build of libav lacks the protocol",
        "Use RTSP, RTMP or HLS",
    ),
    (
        av.error.LookupError,
        UnsupportedMedia,
        "this build of libav cannot read the format",
        "Convert it to H.264 in MP4",
    ),
)
_UNREACHABLE = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN})
_BROKEN_OFF = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE, errno.EIO, errno.ENODEV})
_WRITING = {
    errno.ENOSPC: ("there is no space left", "Free some space, or write to another disk"),
    errno.EDQUOT: ("the disk quota is used up", "Free some space, or write to another disk"),
    errno.EFBIG: ("the file has grown past the size the system allows", "Write shorter pieces"),
    errno.ENOENT: ("its folder does not exist", "Create the folder first"),
    errno.ENOTDIR: ("its folder does not exist", "Create the folder first"),
    errno.EEXIST: ("it holds something else already", "Give another name, or move it away"),
    errno.EISDIR: ("this is a folder", "Give the name of a file"),
    errno.EACCES: ("the folder may not be written to", "Choose another folder or change its rights"),
    errno.EPERM: ("the folder may not be written to", "Choose another folder or change its rights"),
    errno.EROFS: ("the disk is read-only", "Choose another folder"),
}


def open_failure(address: Address, error: BaseException, *, timed_out: bool) -> StreamguardError:
    """Return the error for a failure to open `address`.

    Args:
        timed_out: the time limit had passed. RTSP reports an interrupted wait as invalid data, so the error itself
            does not tell.
    """
    code = getattr(error, "errno", None)
    for foreign, kind, cause, remedy in _ANSWERS:
        if isinstance(error, foreign):
            return kind(address.shown, cause, remedy)
    if timed_out or code in _UNREACHABLE:
        return SourceTimeout(address.shown, *_NO_ANSWER)
    if address.kind == "camera":
        return _camera_failure(address.shown, code)
    if address.kind == "file":
        remedy = "Check or copy it again"
        return CorruptMedia(address.shown, "this is no media file, or its header is damaged", remedy)
    return _network_failure(address, error)


def read_failure(address: Address, error: BaseException, *, live: bool, timed_out: bool) -> StreamguardError:
    """Return the error for a failure in the middle of reading `address`."""
    if timed_out or isinstance(error, (av.error.ExitError, TimeoutError)):
        return SourceTimeout(address.shown, "the source stopped sending", "Check the source and the network")
    if live or address.kind != "file":
        return SourceEnded(address.shown, "the connection broke off", "Check the source and the network")
    return CorruptMedia(address.shown, "the file cannot be read any further", "Check the disk, or copy it again")


def output_failure(path: object, error: BaseException) -> OutputError:
    """Return the error for a failure to write `path`."""
    cause, remedy = _WRITING.get(getattr(error, "errno", None) or 0, ("it cannot be written", ""))
    return OutputError(str(path), cause, remedy or "Check the name, the size and the codec")


def push_failure(shown: str, name: str, code: int | None) -> OutputError:
    """Return the error for a failure of an output.

    Args:
        shown: where it goes.
        name: the class of libav's or the system's error; empty where the writer was killed.
        code: its errno.
    """
    foreign = getattr(av.error, name, None) or getattr(builtins, name, None)
    for kind, _, cause, remedy in _ANSWERS:
        if isinstance(foreign, type) and issubclass(foreign, kind):
            return OutputError(shown, cause.replace("the source", "the server"), remedy)
    if code in _WRITING:
        return OutputError(shown, *_WRITING[code])
    if code in _UNREACHABLE:
        return OutputError(shown, *_NO_ANSWER)
    if code in _BROKEN_OFF:
        return OutputError(shown, "the connection broke off", "Check the server and the network")
    if not name:
        return OutputError(shown, "its writer was ended", "Check the machine's memory")
    return OutputError(shown, f"it cannot be written ({name})", "Check the address, and what the server takes")


def _network_failure(address: Address, error: BaseException) -> StreamguardError:
    code = getattr(error, "errno", None)
    if code == errno.EIO and address.host is not None and not _resolves(address.host):
        return SourceNotFound(address.shown, "the host name is unknown", "Check the host's spelling")
    if code == errno.EIO and address.ca_file is not None and (reason := _distrusted(address, address.ca_file)):
        remedy = "Trust its issuer (SSL_CERT_FILE), or switch the check off (--insecure)"
        return SourceUntrusted(address.shown, f"the host's certificate is not trusted ({reason})", remedy)
    if address.kind == "web" and isinstance(error, av.error.InvalidDataError):
        return CorruptMedia(address.shown, "what the host sends is no media", "Check the URL in a browser")
    return SourceRefused(address.shown, "the host broke off the connection", "Check that it serves this protocol")


def _camera_failure(shown: str, code: int | None) -> SourceError:
    if code == errno.EBUSY:
        return SourceRefused(shown, "another program uses the camera", "Close it")
    if code in (errno.EACCES, errno.EPERM):
        remedy = "Add the user to the group 'video'"
        return SourceUnauthorized(shown, "the camera may not be opened", remedy)
    if code in _BROKEN_OFF:
        return SourceEnded(shown, "the camera went away", "Plug it in again")
    return SourceRefused(shown, "the camera refused the format asked for", "Ask for another size, rate or format")


def _resolves(host: str) -> bool:
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def _distrusted(address: Address, ca_file: str) -> str:
    """Reason why the host's certificate is refused; empty when it is not. libav says no more than "I/O error"."""
    place = (address.host or "", address.port or _TLS_PORTS[urlsplit(address.name).scheme.lower()])
    try:
        context = ssl.create_default_context(cafile=ca_file)
        with (
            socket.create_connection(place, timeout=_SECOND_LOOK) as plain,
            context.wrap_socket(plain, server_hostname=place[0]),
        ):
            return ""
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except (OSError, ValueError):
        return ""

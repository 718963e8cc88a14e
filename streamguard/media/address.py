"""Meaning of a URL, path or camera name, and the libav options that open it."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import certifi

from streamguard.errors import ConfigError, EmptyMedia, SourceNotFound, SourceUnauthorized, UnsupportedMedia
from streamguard.media.hardware import Hardware
from streamguard.media.whep.address import SCHEMES as WHEP_SCHEMES

Kind = Literal["file", "camera", "web", "live"]

_LIVE_SCHEMES = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp"})
_TLS_SCHEMES = frozenset({"https", "rtsps", "rtmps"})
_LOOP = "loop:"
_UDP_BUFFER = 4 * 1024 * 1024
"""Bytes the kernel is asked to hold; it may give less."""
_CAMERA = re.compile(r"(?:camera:|/dev/video)(\d+)")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+)://")

# A playlist names further files and hosts: a local one must not reach the network, a remote one not the disk.
_LOCAL_PROTOCOLS = "file,crypto,data"
_CONTAINED_FORMATS = ",".join(
    (
        *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "mpegts", "mpeg", "mpegvideo", "flv"),
        *("ogg", "asf", "mxf", "gxf", "nut", "rm", "wtv", "ivf", "obu", "h264", "hevc", "m4v", "mjpeg", "gif", "dv"),
        *("yuv4mpegpipe", "mp3", "aac", "wav", "flac"),
    )
)
_WEB_PROTOCOLS = "http,https,tls,tcp,httpproxy,crypto,data"


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """Options for opening a source.

    Attributes:
        transport: what carries RTSP media.
        open_timeout: seconds until the source must have answered and described itself.
        read_timeout: seconds of silence, or of pictures with one and the same timestamp, after which a source counts
            as frozen.
        max_lag: seconds; pictures that piled up for longer while the network stood still are not shown.
        max_pixels: the largest picture accepted; no side may exceed 8192 either way.
        input_format: libav's name of the container, where it cannot be recognised ("mjpeg", "mpegts", "h264").
        framerate, video_size: what a camera is asked for: frames per second, (width, height).
        camera_format: the pixel format or codec a camera is asked for ("mjpeg", "yuyv422").
        verify_tls: https, rtsps and rtmps hosts must show a certificate that is trusted and names them. libav does
            not pass this on to the media segments of an HLS stream: there it holds for the playlist named only.
        redirects: an http(s) host may send us to another address. The segments of an HLS stream always may.
        token: bearer token for a WHEP endpoint; never shown or logged.
        ca_file: PEM file of the certificates that are trusted; None takes the system's store (or `SSL_CERT_FILE`),
            and certifi's where there is none.
        hwaccel: the device that decodes, `auto` for the first one here; software where there is none.
        contained: a file is opened only where it holds all of its media itself: no playlist, which names further files
            and hosts. For files that somebody else has chosen.
    """

    transport: Literal["tcp", "udp"] = "tcp"
    open_timeout: float = 10.0
    read_timeout: float = 10.0
    max_lag: float = 2.0
    max_pixels: int = 7680 * 4320
    input_format: str | None = None
    framerate: float | None = None
    video_size: tuple[int, int] | None = None
    camera_format: str | None = None
    verify_tls: bool = True
    redirects: bool = True
    token: str | None = field(default=None, repr=False)
    ca_file: Path | None = None
    hwaccel: Hardware = "off"
    contained: bool = False


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed source address.

    Attributes:
        shown: what errors are about; may still hold a password, which `StreamguardError` hides.
        name: what libav opens.
        kind: where it leads; "web" may prove to be live once it is opened.
        format: libav's input format; None lets it probe.
        options: libav options.
        host, port: of a network source.
        ca_file: what the host's certificate is checked against; None where it is not.
        looped: the file begins anew at its end, as a stream that has none.
    """

    shown: str
    name: str
    kind: Kind
    format: str | None
    options: dict[str, str]
    host: str | None = None
    port: int | None = None
    ca_file: str | None = None
    looped: bool = False


def parse_address(url: str, options: SourceOptions) -> Address:
    """Recognise a path, `file://`, http(s), live URL, `/dev/videoN`, `camera:N` or `loop:` and a path.

    Checks that a file is there.

    Raises:
        SourceNotFound: no such file; or a malformed URL.
        SourceUnauthorized: the file may not be read.
        EmptyMedia: the file holds no bytes.
        UnsupportedMedia: no protocol of that name.
        ConfigError: the file of trusted certificates is not there.
    """
    if url.startswith(_LOOP) and not Path(url).exists():
        address = parse_address(url.removeprefix(_LOOP), options)
        if address.kind != "file" or address.looped:
            raise SourceNotFound(url, "only a file can be looped", f"Write {_LOOP} and a path")
        return replace(address, shown=url, looped=True)
    if camera := _CAMERA.fullmatch(url):
        return _camera(url, f"/dev/video{camera[1]}", options)
    scheme = match[1].lower() if (match := _SCHEME.match(url)) else "file"
    if scheme == "file":
        return _file(url, unquote(urlsplit(url).path) if match else url, options)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host and scheme in _LIVE_SCHEMES - {"udp", "rtp"} | {"http", "https"}:
        raise SourceNotFound(url, "the URL names no host", "Write it as scheme://host[:port]/path")
    ca_file = trusted(options) if scheme in _TLS_SCHEMES and options.verify_tls else None
    # libav's own default is to trust every host.
    extra = {"tls_verify": "1", "ca_file": ca_file} if ca_file else {}
    if scheme in ("http", "https"):
        extra["protocol_whitelist"] = _WEB_PROTOCOLS
        if not options.redirects:
            extra["max_redirects"] = "0"
        return Address(url, url, "web", options.input_format, extra, host, port, ca_file)
    if scheme in WHEP_SCHEMES:
        raise UnsupportedMedia(url, "a WHEP stream is live, and nothing else", "Use `streamguard watch` or `serve`")
    if scheme not in _LIVE_SCHEMES:
        remedy = "Use a file, http(s), rtsp(s), rtmp(s), udp, rtp or tcp URL, or camera:N"
        raise UnsupportedMedia(url, f"the protocol {scheme!r} is not supported", remedy)
    # Otherwise libav measures the frame rate over 20 further frames before it hands over the first one.
    extra["fpsprobesize"] = "0"
    if scheme == "udp":
        # A moment without a reader loses packets, not the connection.
        extra |= {"overrun_nonfatal": "1", "buffer_size": str(_UDP_BUFFER)}
    if scheme in ("rtsp", "rtsps"):
        limit = max(options.open_timeout, options.read_timeout)
        extra |= {"rtsp_transport": options.transport, "timeout": str(int(limit * 1e6))}
    return Address(url, url, "live", options.input_format, extra, host, port, ca_file)


def trusted(options: SourceOptions) -> str:
    """The PEM file of the certificates that are trusted.

    Raises:
        ConfigError: the file named cannot be read.
    """
    named = options.ca_file
    if named is None:
        return ssl.get_default_verify_paths().cafile or certifi.where()
    if not named.is_file():
        raise ConfigError(str(named), "there is no such file of trusted certificates", "Name a PEM file")
    return str(named)


def _camera(url: str, device: str, options: SourceOptions) -> Address:
    if not Path(device).exists():
        raise SourceNotFound(url, f"there is no device {device}", "Plug the camera in, or list /dev/video*")
    asked: dict[str, str] = {}
    if options.framerate is not None:
        asked["framerate"] = f"{options.framerate:g}"
    if options.video_size is not None:
        asked["video_size"] = "{}x{}".format(*options.video_size)
    if options.camera_format is not None:
        asked["input_format"] = options.camera_format
    return Address(url, device, "camera", options.input_format or "v4l2", asked)


def _file(url: str, name: str, options: SourceOptions) -> Address:
    path = Path(name)
    try:
        empty = path.is_file() and path.stat().st_size == 0
        if path.is_dir():
            raise SourceNotFound(
                url, "this is a folder, not a file", "Name a file in it, or `scan` it with --recursive"
            )
        if not path.exists():
            raise SourceNotFound(url, "there is no such file", "Check the path's spelling")
        with path.open("rb"):
            pass
    except PermissionError:
        remedy = "Give the user that runs streamguard the right to read it"
        raise SourceUnauthorized(url, "the file may not be read", remedy) from None
    except (OSError, ValueError):
        raise SourceNotFound(url, "the path cannot be opened", "Check the path's spelling") from None
    if empty:
        raise EmptyMedia(url, "the file is empty", "Record or copy it again")
    # The prefix keeps libav from reading a colon in a file's name as a protocol.
    extra = {"protocol_whitelist": _LOCAL_PROTOCOLS}
    if options.contained:
        extra = {"protocol_whitelist": "file", "format_whitelist": _CONTAINED_FORMATS}
    return Address(url, f"file:{path}", "file", options.input_format, extra)

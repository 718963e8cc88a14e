"""The exception tree: nothing secret in it, everything one line, every exit code documented."""

from __future__ import annotations

import errno
import inspect
import pickle

import av.error
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard import errors
from streamguard.cli.lazy import EXIT_CODES
from streamguard.errors import StreamguardError, one_line, redact
from streamguard.inference.engine import foreign_errors
from streamguard.media import SourceOptions
from streamguard.media.address import parse_address
from streamguard.media.failures import open_failure, output_failure, read_failure

CLASSES = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, StreamguardError)]
SCHEMES = ["rtsp", "rtsps", "rtmp", "http", "https", "tcp"]
# What people type into passwords, and everything else that can be printed.
passwords = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=30).map("s3cr{}t".format)


@given(st.sampled_from(SCHEMES), passwords, st.sampled_from(["", "/", "/live", ":8554/a/b?x=1", "/a@b"]))
def test_a_password_is_never_shown(scheme: str, password: str, rest: str) -> None:
    shown = redact(f"{scheme}://bob:{password}@cam.example{rest}")
    assert "s3cr" not in shown
    assert shown.startswith(f"{scheme}://bob:***")


@given(passwords)
def test_nor_in_an_error(password: str) -> None:
    error = StreamguardError(f"rtsp://bob:{password}@cam/live", "cause", "remedy")
    for text in (str(error), repr(error), str(error.args), error.thing):
        assert "s3cr" not in text


@given(
    st.sampled_from(["token", "key", "api_key", "password", "PASS", "pwd", "sig", "X-Amz-Signature", "access_token"]),
    st.text(st.sampled_from("abc123%+/=.-_"), min_size=1, max_size=20).map("s3cr{}t".format),
)
def test_secrets_of_the_query_are_hidden(key: str, secret: str) -> None:
    shown = redact(f"https://cdn.example/live.m3u8?quality=hd&{key}={secret}&start=5")
    assert shown == f"https://cdn.example/live.m3u8?quality=hd&{key}=***&start=5"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam/live", "rtsp://cam/live"),
        ("rtsp://bob@cam/live", "rtsp://***@cam/live"),
        ("rtmp://cdn/live/k3y", "rtmp://cdn/live/***"),
        ("rtsp://cam:554/user=admin_password=pw_channel=1", "rtsp://cam:554/user=admin_password=***"),
        ("rtsp://cam:8554/live?x=1#part", "rtsp://cam:8554/live?x=1#part"),
        ("rtsp://[::1]:8554/live", "rtsp://[::1]:8554/live"),
        ("rtsp://bob:pw@[::1]:8554/live", "rtsp://bob:***@[::1]:8554/live"),
        ("rtsp://bob:@cam/live", "rtsp://bob:***@cam/live"),
        ("rtsp://bob:a/b@cam/live", "rtsp://bob:***@cam/live"),
        ("rtsp://bob:a?b@cam/live", "rtsp://bob:***"),
        ("rtsp://cam:554/live?password=p@ss", "rtsp://cam:***"),
        ("https://cdn/me@home/live", "https://cdn/me@home/live"),
        ("/videos/a:b@c.mp4", "/videos/a:b@c.mp4"),
        ("camera:0", "camera:0"),
        ("", ""),
    ],
)
def test_what_is_shown_of_a_url(url: str, shown: str) -> None:
    assert redact(url) == shown
    assert redact(shown) == shown


@given(st.text(max_size=50), st.text(max_size=50), st.text(max_size=50))
def test_an_error_is_one_printable_line(thing: str, cause: str, remedy: str) -> None:
    text = str(StreamguardError(thing, cause, remedy))
    assert text.isprintable()
    assert text == one_line(text)


def test_the_three_parts_of_a_message() -> None:
    assert str(StreamguardError("a.mp4", "it is empty.", "copy it again.")) == "a.mp4: it is empty. Copy it again."
    assert str(StreamguardError("a.mp4", "it is empty")) == "a.mp4: it is empty."


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error(kind: type[StreamguardError]) -> None:
    assert kind.__doc__
    assert kind.exit_code in EXIT_CODES
    error = kind("thing", "cause", "remedy")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again)) == (kind, "thing: cause. Remedy.")


def test_an_exit_code_belongs_to_one_branch() -> None:
    branches = [kind for kind in CLASSES if kind.__base__ is StreamguardError]
    codes = [kind.exit_code for kind in branches]
    assert len(set(codes)) == len(codes)
    assert not set(codes) & {0, 1, 2, 10, 130, 143}
    for kind in CLASSES:
        branch = next((b for b in branches if issubclass(kind, b)), StreamguardError)
        assert kind.exit_code == branch.exit_code


FOREIGN = [
    (ConnectionRefusedError(111, "refused"), errors.SourceRefused),
    (TimeoutError(110, "timed out"), errors.SourceTimeout),
    (OSError(113, "no route"), errors.SourceTimeout),
    (av.error.HTTPUnauthorizedError(0, "401"), errors.SourceUnauthorized),
    (av.error.HTTPForbiddenError(0, "403"), errors.SourceUnauthorized),
    (av.error.HTTPNotFoundError(0, "404"), errors.SourceNotFound),
    (av.error.HTTPServerError(0, "500"), errors.SourceRefused),
    (av.error.ExitError(0, "interrupted"), errors.SourceTimeout),
    (av.error.ProtocolNotFoundError(0, "no protocol"), errors.UnsupportedMedia),
    (av.error.DemuxerNotFoundError(0, "no demuxer"), errors.UnsupportedMedia),
]


@pytest.mark.parametrize(("foreign", "kind"), FOREIGN, ids=lambda value: getattr(value, "__name__", None))
def test_foreign_errors_of_opening(foreign: BaseException, kind: type[StreamguardError]) -> None:
    address = parse_address("rtsp://bob:s3cret@127.0.0.1/live", SourceOptions())
    error = open_failure(address, foreign, timed_out=False)
    assert type(error) is kind
    assert error.remedy
    assert "s3cret" not in str(error)


@pytest.mark.parametrize("number", [*errno.errorcode, 0, None])
def test_foreign_errors_of_any_number(number: int | None) -> None:
    address = parse_address("http://127.0.0.1/live", SourceOptions())
    foreign = OSError(number, "something") if number is not None else ValueError("something")
    told = [
        open_failure(address, foreign, timed_out=False),
        read_failure(address, foreign, live=True, timed_out=False),
        output_failure("out.mp4", foreign),
    ]
    for error in told:
        assert isinstance(error, StreamguardError)
        assert error.cause
        assert error.remedy


def test_foreign_errors_of_an_engine() -> None:
    said = r"x: failed while judging \(RuntimeError: out of memory\)"
    with pytest.raises(errors.EngineFailed, match=said), foreign_errors("x", "judging"):
        raise RuntimeError("out of memory\nand a page of addresses")
    with pytest.raises(errors.ParityError), foreign_errors("x", "judging"):
        raise errors.ParityError("x", "too far")

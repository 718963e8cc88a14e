"""The file, the environment, secrets from files and the command line become one configuration, or all its faults."""

from __future__ import annotations

import json
import math
import tempfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from streamguard.config import Config, load_config, read_config
from streamguard.config.keys import model_in
from streamguard.errors import ConfigError, InvalidConfig
from streamguard.models import DEFAULT_MODEL

TOKEN = "0123456789abcdef-token"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
FILE = """
[server]
listen = "127.0.0.1:1"
max_streams = 7
[engine]
model = "a"
[[server.tokens]]
token_file = "{folder}/token"
scopes = ["admin"]
[[streams]]
name = "door"
source = "rtsp://bob:s3cret@cam/x"
sampling.judged_per_second = 5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that is right, and its token beside it."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    path = tmp_path / "streamguard.toml"
    path.write_text(FILE.format(folder=tmp_path))
    return path


def faults(path: Path | None = None) -> list[str]:
    """All that is told of a configuration."""
    with pytest.raises(InvalidConfig) as caught:
        read_config(path)
    assert all(isinstance(each, ConfigError) and each.remedy for each in caught.value.problems)
    return [str(each) for each in caught.value.problems]


def written(folder: Path, text: str) -> Path:
    """A file with that text."""
    path = folder / "wrong.toml"
    path.write_text(text)
    return path


def test_without_anything_it_is_what_serve_always_did() -> None:
    config = read_config()
    assert config == Config()
    assert (config.server.host, config.server.port, config.engine.model) == ("127.0.0.1", 8080, DEFAULT_MODEL)
    assert config.server.local_sources
    assert config.alerts.enabled
    assert not config.evidence.enabled
    assert (config.streams, config.rules, config.server.tokens) == ([], [], [])


def test_the_command_line_goes_over_the_environment_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMGUARD_SERVER__LISTEN", "127.0.0.2:2")
    monkeypatch.setenv("STREAMGUARD_ENGINE", '{"model": "b", "threads": 3}')
    monkeypatch.setenv("STREAMGUARD_ENGINE__THREADS", "4")
    # Not a part of the configuration: the server that the command line talks to.
    monkeypatch.setenv("STREAMGUARD_SERVER", "http://127.0.0.1:9")
    loaded = load_config(file, {"server.port": 3, "server.tls.key": None})
    config = loaded.config
    assert (config.server.listen, config.engine.model, config.engine.threads) == ("127.0.0.2:3", "b", 4)
    assert config.server.max_streams == 7
    assert config.streams[0].sampling.judged_per_second == 5
    origins = {
        ("server", "listen"): "command line",
        ("engine", "model"): "environment STREAMGUARD_ENGINE",
        ("engine", "threads"): "environment STREAMGUARD_ENGINE__THREADS",
        ("server", "max_streams"): str(file),
        ("server", "max_sessions"): "default",
        ("server", "tokens", 0, "token"): f"file {file.parent / 'token'}",
        ("streams", 0, "name"): str(file),
        ("streams", 0, "loop"): "default",
    }
    assert {path: loaded.layers.origin(path) for path in origins} == origins


@pytest.mark.parametrize(
    ("host", "listen"), [("::1", "[::1]:8080"), ("localhost", "localhost:8080"), ("127.0.0.9", "127.0.0.9:8080")]
)
def test_a_host_of_the_command_line_keeps_the_port(host: str, listen: str) -> None:
    server = read_config(None, {"server.host": host}).server
    assert (server.listen, server.host, server.port) == (listen, host, 8080)


def test_lists_of_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMGUARD_STREAMS", json.dumps([{"name": "a", "source": "x.mp4"}]))
    monkeypatch.setenv("STREAMGUARD_SERVER__TOKENS", json.dumps([{"token": TOKEN, "scopes": ["view"]}]))
    config = read_config()
    assert config.streams[0].name == "a"
    assert config.server.tokens[0].token.get_secret_value() == TOKEN


def test_no_secret_is_shown(file: Path) -> None:
    file.write_text(
        file.read_text()
        + f'[alerts]\ndatabase = "postgresql://me:s3cret@db/x"\n[[rules]]\nname = "r"\nsecret = "{SECRET}"\n'
        + 'url = "https://news.example/?token=s3cret"\n[[server.ice_servers]]\nurls = ["stun:a"]\ncredential = "s3cret"'
    )
    config = read_config(file)
    for text in (repr(config), str(config), config.model_dump_json(), repr(load_config(file).config.streams)):
        assert "s3cret" not in text
        assert TOKEN not in text
        assert SECRET not in text
    assert config.streams[0].source.get_secret_value() == "rtsp://bob:s3cret@cam/x"


def test_a_secret_from_the_environment_goes_before_the_file_s_secret_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, f'[alerts]\ndatabase_file = "{tmp_path}/none"')
    monkeypatch.setenv("STREAMGUARD_ALERTS__DATABASE", "sqlite:///x")
    database = read_config(path).alerts.database
    assert database is not None
    assert database.get_secret_value() == "sqlite:///x"
    # And the other way round.
    (tmp_path / "secret").write_text("sqlite:///y\n")
    monkeypatch.delenv("STREAMGUARD_ALERTS__DATABASE")
    monkeypatch.setenv("STREAMGUARD_ALERTS__DATABASE_FILE", str(tmp_path / "secret"))
    path.write_text('[alerts]\ndatabase = "sqlite:///x"')
    database = read_config(path).alerts.database
    assert database is not None
    assert database.get_secret_value() == "sqlite:///y"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[server]\nlisten = ", ("wrong.toml:2: it is no TOML",)),
        ("[server]\nlisten = 'a:1'\n[server]\n", ("wrong.toml:3", "no TOML")),
        ("a = [", ("wrong.toml:1: it is no TOML",)),
        ("[server]\nlistn = 'a'", ("server.listn: there is no such key", "`listen` is meant")),
        ("speed = 1", ("speed: there is no such key", "server, engine")),
        ("max_sessions = 1", ("`server.max_sessions` is meant",)),
        ("[server]\nlisten = '127.0.0.1:70000'", ("server.listen", "0 to 65535")),
        ("[server]\nlisten = '8080'", ("server.listen", "host:port")),
        ("[server]\nlisten = '0.0.0.0:1'", ("server.tokens", "needs a token")),
        ("[server.tls]\nkey = 'k.pem'", ("server.tls.certificate: it is missing",)),
        ("[server.tls]\nkey = 'none.pem'\ncertificate = 'none.pem'", ("server.tls.key: none.pem cannot be read",)),
        ("[[server.tokens]]\ntoken = 's3cret'\nscopes = ['admin']", ("server.tokens[0].token", "16 printable")),
        (f"[[server.tokens]]\ntoken = '{TOKEN}'\nscopes = ['root']", ("scopes",)),
        (f"[[server.tokens]]\ntoken = '{TOKEN}'\nscopes = []", ("scopes",)),
        ("[[server.tokens]]\nscopes = ['view']", ("server.tokens[0].token: it is missing",)),
        ("[[server.tokens]]\ntoken_file = 'none'\nscopes = ['view']", ("tokens[0].token_file: none cannot be read",)),
        ("[[server.tokens]]\ntoken_file = '/dev/null'\nscopes = ['view']", ("/dev/null is empty",)),
        (
            f"[[server.tokens]]\ntoken_file = 'x'\ntoken = '{TOKEN}'\nscopes = ['view']",
            ("both `token` and `token_file`",),
        ),
        ("[[server.ice_servers]]\nurls = ['http://x']", ("no stun",)),
        ("[alerts]\nallow_networks = ['x']", ("alerts.allow_networks[0]", "network")),
        ("[[streams]]\nname = 'a/b'\nsource = 'x'", ("streams.a/b.name",)),
        ("[[streams]]\nname = 'a'\nsource = 'http:///x'", ("streams.a.source", "no URL")),
        ("[[streams]]\nname = 'a'\nsource = 'rtsp://bob:s3cret@h:port/x'", ("streams.a.source", "no URL")),
        ("[[streams]]\nname = 'a'\nsource = 'gopher://h/x'", ("streams.a.source", "protocol `gopher`")),
        ("[[streams]]\nname = 'a'\nsource = ' '", ("streams.a.source",)),
        ("[[streams]]\nname = 'a'\nsource = 'camera:zero'", ("streams.a.source", "`camera:0`")),
        ("[[streams]]\nname = 'a'\nsource = 'x'\noutputs = ['" + "a" * 300 + "/b']", ("streams.a.outputs",)),
        ("[[Streams]]\nname = 'x'", ("Streams: there is no such key", "`streams` is meant")),
        ("[SERVER]\nlisten = '127.0.0.1:1'", ("SERVER: there is no such key", "`server` is meant")),
        ("[server]\nLISTEN = '127.0.0.1:1'", ("server.LISTEN: there is no such key", "`listen` is meant")),
        ("server = 1", ("server: it must be a table", "`[server]`")),
        ("[streams]\nname = 'a'", ("streams: it must be a list of tables", "`[[streams]]`")),
        (f"[[server.tokens]]\ntoken = '{TOKEN}'\nscopes = 3", ("scopes: it must be a list",)),
        ("[[streams]]\nname = 'a/b'\nsource = 'x'", ("letters, digits, `.`, `-` and `_`",)),
        ('[alerts]\nca_file = "\\u0000"', ("alerts.ca_file", "no path")),
        (
            f"[[server.tokens]]\ntoken = '{TOKEN}'\nscopes = ['view']\n" * 2,
            ("server.tokens: entries 0, 1 hold the same token",),
        ),
        (
            "[[streams]]\nname = 'a'\nsource = 'x'\noutputs = ['gopher://bob:s3cret@h/x']",
            ("streams.a.outputs", "gopher"),
        ),
        ("[[streams]]\nname = 'a'\nsource = 'x'\nrules = ['r']", ("streams.a.rules: there is no rule `r`",)),
        ("[[streams]]\nname = 'a'\nsource = 'x'\n[[streams]]\nname = 'a'\nsource = 'y'", ("2 streams", "same name")),
        ("[[streams]]\nname = 'a'\nsource = 'x'\n[server]\nmax_streams = 0", ("server.max_streams",)),
        (
            "[[rules]]\nname = 'r'\nurl = 'ftp://bob:s3cret@x'\nsecret = 's3cret'",
            ("rules.r.url", "does not know such a URL"),
        ),
        (
            f"[[rules]]\nname = 'r'\nurl = 'https://x'\nsecret = '{SECRET}'\n[alerts]\nenabled = false",
            ("rules: rules belong to alerts",),
        ),
    ],
)
def test_what_is_wrong(tmp_path: Path, text: str, parts: tuple[str, ...]) -> None:
    path = written(tmp_path, text)
    told = faults(path)
    assert any(all(part in line for part in parts) for line in told), told
    assert all(str(path) in line for line in told)
    assert TOKEN not in "".join(told)
    assert "s3cret" not in "".join(told)


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("STREAMGUARD_SEVER__LISTEN", "x", "begin with one of STREAMGUARD_SERVER__"),
        ("STREAMGUARD_SERVER__LISTN", "x", "server.listn: there is no such key"),
        ("STREAMGUARD_STREAMS", "[", "it is no JSON"),
        ("STREAMGUARD_ENGINE__THREADS", "many", "engine.threads"),
    ],
)
def test_what_is_wrong_in_the_environment(monkeypatch: pytest.MonkeyPatch, name: str, value: str, part: str) -> None:
    monkeypatch.setenv(name, value)
    (told,) = faults()
    assert name in told
    assert part.lower() in told.lower()


@pytest.mark.parametrize(
    "text",
    [
        f"[[server.tokens]]\ntoken = '{TOKEN}'\nscopes = ['root']",
        f"[[rules]]\nname = 'r'\nurl = 'https://x'\nsecret = '{SECRET}'\nkinds = ['root']",
        "[[server.ice_servers]]\nurls = [3]",
    ],
)
def test_what_only_follows_from_another_fault_is_not_told(tmp_path: Path, text: str) -> None:
    assert len(faults(written(tmp_path, text))) == 1


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMGUARD_ENGINE__THREADS", "0")
    path = written(
        tmp_path,
        """
[server]
listn = "127.0.0.1:1"
listen = "0.0.0.0:8080"
[[server.tokens]]
token_file = "none"
scopes = ["admin"]
[evidence]
enabled = true
[alerts]
enabled = false
[[streams]]
name = "a"
source = "http:///x"
rules = ["no"]
[[streams]]
name = "c"
source = "x"
smpling = {}
[[streams]]
name = "c"
source = "x"
""",
    )
    told = faults(path)
    wrong = (
        "token_file",
        "listn",
        "streams.a.source",
        "smpling",
        "threads",
        "evidence.enabled",
        "public_url",
        "2 streams",
    )
    for part in (*wrong, "no rule `no`"):
        assert sum(part in line for line in told) == 1, (part, told)
    # The token that could not be read is there: that it is missing would be no help.
    assert len(told) == len(wrong) + 1
    with pytest.raises(ConfigError, match=r"and 8 more: see `streamguard config check`"):
        read_config(path)


FOREIGN = ("instance of", "frozenset", "tuple", "should match pattern", "after validation", "dictionary")
"""Words of programmers."""
PLAIN = [
    *("", "127.0.0.1:1", "x.mp4", "rtsp://u:p@h/x", "a", "camera:x", "\0", "é" * 300, "sqlite:///x.db", "view", "none"),
    *("0x1" * 90, 0, 1, -1.5, True, 2**70, math.nan, math.inf, date(2026, 1, 2), datetime(2026, 1, 2), time(3)),
]
JUNK = st.recursive(
    st.sampled_from(PLAIN),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "x", "source"]), inner),
    max_leaves=4,
)


def tables(model: type[BaseModel], depth: int = 0) -> st.SearchStrategy[Any]:
    """Tables with the model's keys, each with something right or wrong in it."""
    optional: dict[Any, st.SearchStrategy[Any]] = {"unknown": JUNK}
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        table = tables(inner, depth + 1) if inner and depth < 3 else JUNK
        for key in (name, name.capitalize()):
            optional[key] = table | st.lists(table, max_size=2) | JUNK if inner else JUNK
    return st.fixed_dictionaries({}, optional=optional)


def toml(value: Any) -> str:
    """The value as TOML, tables in braces."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {toml(each)}" for key, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return json.dumps(value)
        case date() | time():
            return value.isoformat()
        case _:
            return str(value).lower()


@given(tables(Config))
def test_whatever_is_in_it_the_end_is_a_configuration_or_told_faults(values: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "\n".join(f"{key} = {toml(value)}" for key, value in values.items()))
        try:
            told = [str(read_config(path))]
        except InvalidConfig as error:
            told = [str(problem) for problem in error.problems if problem.cause and problem.remedy]
            assert len(told) == len(error.problems)  # noqa: PT017 - either outcome is right
            assert not any(word in line for line in told for word in FOREIGN), told
    assert told
    # Nothing that was written in another way than the keys are may pass for one of them.
    assert not any(key != key.lower() for key in values) or any("no such key" in line for line in told)


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_a_file_that_cannot_be_read(tmp_path: Path, name: str) -> None:
    assert "it cannot be read" in faults(tmp_path / name)[0]


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe")
    (told,) = faults(tmp_path / "x.toml")
    assert told.endswith("x.toml:1: it is not UTF-8. Save the file as UTF-8.")


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "1" * 5000])
def test_what_the_parser_cannot_hold(tmp_path: Path, text: str) -> None:
    assert "it is no TOML" in faults(written(tmp_path, text))[0]


@pytest.mark.parametrize("kind", ["database", "database_file"])
def test_a_database_is_looked_at_wherever_it_is_named(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret").write_text("hunter2")
    value = "hunter2" if kind == "database" else tmp_path / "secret"
    (told,) = faults(written(tmp_path, f"[alerts]\n{kind} = '{value}'"))
    assert "alerts.database: this is no database URL: give sqlite:///path or postgresql://" in told
    assert "hunter2" not in told
    (tmp_path / "secret").write_text("sqlite:///kept.db")
    assert read_config(written(tmp_path, f"[alerts]\ndatabase_file = '{tmp_path / 'secret'}'")).alerts.database

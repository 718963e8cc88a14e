"""The example and the documents of the configuration are those of the models."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from streamguard.config import Config, load_config, read_config
from streamguard.config.keys import fields
from streamguard.config.reference import rows, schema, table
from tests.support.training_data import ROOT

FOLDER = ROOT / "examples" / "broadcast_sidecar"
EXAMPLE = FOLDER / "streamguard.toml"
BEGIN, END = "<!-- keys: made from the models -->\n", "<!-- end of keys -->\n"


def test_the_table_of_keys_is_up_to_date() -> None:
    text = (FOLDER / "README.md").read_text()
    told = text.partition(BEGIN)[2].partition(END)[0]
    assert told == table(), "put the output of streamguard.config.reference.table() there"


def test_the_table_tells_every_key_and_what_it_means() -> None:
    lines = [line for line in table().splitlines() if line.startswith(("| `", "| **`"))]
    assert len(lines) == len(list(fields()))
    assert all(line.split(" | ")[2].removesuffix(" |").strip() for line in lines)


def test_the_example_is_right() -> None:
    config = read_config(EXAMPLE)
    assert [stream.name for stream in config.streams] == ["studio", "correspondent", "archive"]
    assert config.rules[0].for_seconds == 2


def test_what_the_example_leaves_out_is_right_too(tmp_path: Path) -> None:
    """Each remark that is a setting may be taken in."""

    def kept(match: re.Match[str]) -> str:
        path = tmp_path / match[1].replace("/", "-")
        path.write_text(f"0123456789abcdef{path.name}")
        return f'"{path}"'

    text = re.sub(
        r"^#\s+((\[\[?server\.|(listen|public_url|certificate|key|token_file|scopes) = ).*)",
        r"\1",
        EXAMPLE.read_text(),
        flags=re.MULTILINE,
    )
    text = re.sub(r'"/((?:run|etc)/[^"]*)"', kept, text)
    assert text.count("token_file") == 2
    tables, _, rest = text.partition("[engine]")
    # A table ends where the next one begins: keys of [server] come first.
    keys = [line for line in tables.splitlines() if line.startswith("public_url")]
    lines = [line for line in tables.splitlines() if not line.startswith(("public_url", 'listen = "127'))]
    lines.insert(lines.index("[server]") + 1, keys[0])
    path = tmp_path / "all.toml"
    path.write_text("\n".join(lines) + "\n[engine]" + rest)
    config = read_config(path)
    assert config.server.listen == "0.0.0.0:8443"
    assert config.server.public_url == "https://guard.example"
    assert config.server.tls is not None
    assert [sorted(token.scopes) for token in config.server.tokens] == [["admin"], ["view"]]


def test_the_schema_takes_the_example_and_refuses_what_is_wrong() -> None:
    validator = Draft202012Validator(schema())
    Draft202012Validator.check_schema(schema())
    values = tomllib.loads(EXAMPLE.read_text())
    assert not list(validator.iter_errors(values))
    assert not list(validator.iter_errors({}))
    token = {"scopes": ["admin"]}
    for wrong in (
        {"sever": {}},
        {"server": {"max_streams": 0}},
        {"streams": [{"name": "a"}]},
        {"server": {"tokens": [token]}},
        {"server": {"tokens": [{**token, "token": "x" * 16, "token_file": "x"}]}},
    ):
        assert list(validator.iter_errors(wrong)), wrong
    for right in ({**token, "token": "x" * 16}, {**token, "token_file": "x"}):
        assert not list(validator.iter_errors({"server": {"tokens": [right]}}))


def test_every_value_in_force_is_shown_once_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMGUARD_ENGINE__THREADS", "3")
    shown = rows(load_config(EXAMPLE))
    keys = [row.key for row in shown]
    assert len(set(keys)) == len(keys)
    found = {row.key: (row.value, row.origin) for row in shown}
    assert found["engine.threads"] == (3, "environment STREAMGUARD_ENGINE__THREADS")
    assert found["streams.studio.priority"] == (2, str(EXAMPLE))
    assert found["streams.archive.priority"] == (1, "default")
    assert found["streams.correspondent.sampling.judged_per_second"] == (5.0, str(EXAMPLE))
    assert found["rules.newsroom.quiet[0].zone"] == ("Europe/Warsaw", str(EXAMPLE))
    assert found["server.listen"] == ("127.0.0.1:8080", str(EXAMPLE))
    assert "bm90" not in json.dumps([row.value for row in shown])


def test_every_default_is_shown_without_a_file() -> None:
    shown = rows(load_config())
    assert {row.origin for row in shown} == {"default"}
    assert {row.key.partition(".")[0] for row in shown} == set(Config.model_fields)

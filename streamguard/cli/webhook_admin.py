"""`streamguard webhook`: the subscriptions of a running server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeAlias
from urllib.parse import quote

import typer
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from streamguard.cli.remote import HERE, Authority, Remote, Server, Token
from streamguard.cli.runner import console, notes, run
from streamguard.cli.webhook import webhook
from streamguard.errors import ConfigError, one_line

Id: TypeAlias = Annotated[str, typer.Argument(help="The subscription's id, as `list` shows it.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="The server's answer as JSON.")]
Name: TypeAlias = Annotated[str | None, typer.Option(help="A name for people.")]
Format: TypeAlias = Annotated[str | None, typer.Option(help="streamguard, cloudevents or ms-graph.")]
Streams: TypeAlias = Annotated[list[str] | None, typer.Option("--stream", help="Streams told of, as shell patterns.")]
Kinds: TypeAlias = Annotated[list[str] | None, typer.Option("--kind", help="Kinds told of, such as fake.opened.")]
Fields: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--rule", help="Another field of the rule as FIELD=VALUE, the value as JSON: least_score=0.8."),
]
Secret: TypeAlias = Annotated[
    str | None,
    typer.Option(
        envvar="STREAMGUARD_WEBHOOK_SECRET",
        help="whsec_ and base64; made when left out. Better given by the variable: command lines are seen by others.",
    ),
]


def create(
    url: Annotated[str, typer.Argument(help="Where messages go: https, a public address unless allowed.")],
    name: Name = None,
    format: Format = None,
    stream: Streams = None,
    kind: Kinds = None,
    rule: Fields = None,
    secret: Secret = None,
    as_json: AsJson = False,
    server: Server = HERE,
    token: Token = None,
    ca_file: Authority = None,
) -> None:
    """Subscribe a URL; shows its secret, only now."""
    body = _given(url=url, name=name, format=format, secret=secret)
    if fields := _rule(stream, kind, rule):
        body["rule"] = fields
    _run(Remote(server, token, ca_file), "POST", "webhooks", body, _secret if not as_json else _json)


def list_(as_json: AsJson = False, server: Server = HERE, token: Token = None, ca_file: Authority = None) -> None:
    """List all subscriptions."""
    _run(Remote(server, token, ca_file), "GET", "webhooks", None, _table if not as_json else _json)


def show(id: Id, server: Server = HERE, token: Token = None, ca_file: Authority = None) -> None:
    """Show one subscription with its rule, as JSON."""
    _run(Remote(server, token, ca_file), "GET", _path(id), None, _json)


def change(
    id: Id,
    url: Annotated[str | None, typer.Option(help="Where messages go from now on.")] = None,
    name: Name = None,
    format: Format = None,
    stream: Streams = None,
    kind: Kinds = None,
    rule: Fields = None,
    server: Server = HERE,
    token: Token = None,
    ca_file: Authority = None,
) -> None:
    """Update the given fields; the others stay."""
    body, fields = _given(url=url, name=name, format=format), _rule(stream, kind, rule)
    if not body and not fields:
        raise ConfigError("change", "nothing is to be changed", "give --url, --name, --format, --stream or --rule")
    remote = Remote(server, token, ca_file)

    async def work() -> int:
        if fields:
            before = (await remote.ask("GET", _path(id)))["rule"]
            # M alone means M seconds on end; a window of before must not stand against it.
            if "for_seconds" in fields:
                before.pop("within_seconds")
            body["rule"] = {**before, **fields}
        _json(await remote.ask("PATCH", _path(id), body))
        return 0

    run(work)


def pause(id: Id, server: Server = HERE, token: Token = None, ca_file: Authority = None) -> None:
    """Send nothing until `resume`; alerts are kept."""
    _run(Remote(server, token, ca_file), "POST", f"{_path(id)}/pause", None, _state)


def resume(id: Id, server: Server = HERE, token: Token = None, ca_file: Authority = None) -> None:
    """Send again, what was kept first; also after the endpoint was disabled."""
    _run(Remote(server, token, ca_file), "POST", f"{_path(id)}/resume", None, _state)


def rotate(
    id: Id,
    secret: Secret = None,
    overlap: Annotated[float, typer.Option(min=0, help="Seconds that the old secret goes on signing, too.")] = 86_400,
    as_json: AsJson = False,
    server: Server = HERE,
    token: Token = None,
    ca_file: Authority = None,
) -> None:
    """Make a new secret; shows it, only now."""
    body = {**_given(secret=secret), "overlap_seconds": overlap}
    show = _secret if not as_json else _json
    _run(Remote(server, token, ca_file), "POST", f"{_path(id)}/rotate", body, show)


def delete(id: Id, server: Server = HERE, token: Token = None, ca_file: Authority = None) -> None:
    """Forget a subscription and what waits to be sent."""
    _run(Remote(server, token, ca_file), "DELETE", _path(id), None, lambda _: notes.print("deleted"))


def send_test(id: Id, server: Server = HERE, token: Token = None, ca_file: Authority = None) -> None:
    """Send a message of the type `webhook.test`; `deliveries` tells what came of it."""
    _run(Remote(server, token, ca_file), "POST", f"{_path(id)}/test", None, _sent)


def deliveries(
    id: Id,
    status: Annotated[str | None, typer.Option(help="pending, delivered, dead or cancelled.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many.")] = 20,
    cursor: Annotated[int | None, typer.Option(help="Go on where the page before ended.")] = None,
    as_json: AsJson = False,
    server: Server = HERE,
    token: Token = None,
    ca_file: Authority = None,
) -> None:
    """List what was sent and what came back, newest first."""
    query = _given(status=status, limit=limit, cursor=cursor)
    show = _log if not as_json else _json
    _run(Remote(server, token, ca_file), "GET", f"{_path(id)}/deliveries", None, show, query)


def replay(
    id: Id,
    delivery: Annotated[str | None, typer.Option(help="One message, by its webhook-id.")] = None,
    since: Annotated[datetime | None, typer.Option(help="What happened from then on (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="What happened before then (UTC); default: now.")] = None,
    server: Server = HERE,
    token: Token = None,
    ca_file: Authority = None,
) -> None:
    """Send one message again, or all of a time range; each keeps its id."""
    remote = Remote(server, token, ca_file)
    if (delivery is None) == (since is None):
        raise ConfigError("replay", "nothing or too much is named", "give either --delivery, or --since and --until")
    if delivery is not None:
        _run(remote, "POST", f"{_path(id)}/deliveries/{quote(delivery, safe='')}/replay", None, _sent)
    else:
        assert since is not None
        end = until.replace(tzinfo=UTC) if until else datetime.now(UTC)
        body = {"since": since.replace(tzinfo=UTC).isoformat(), "until": end.isoformat()}
        _run(remote, "POST", f"{_path(id)}/replay", body, lambda told: print(f"{told['deliveries']} are sent again"))


COMMANDS: dict[str, Callable[..., None]] = {
    "create": create,
    "list": list_,
    "show": show,
    "change": change,
    "pause": pause,
    "resume": resume,
    "rotate": rotate,
    "delete": delete,
    "test": send_test,
    "deliveries": deliveries,
    "replay": replay,
}
"""The commands by name."""


def _run(
    remote: Remote,
    method: str,
    path: str,
    body: object,
    show: Callable[[Any], None],
    query: dict[str, Any] | None = None,
) -> None:
    async def work() -> int:
        show(await remote.ask(method, path, body, query))
        return 0

    run(work)


def _path(id: str) -> str:
    return f"webhooks/{quote(id, safe='')}"


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _rule(streams: list[str] | None, kinds: list[str] | None, fields: list[str] | None) -> dict[str, Any]:
    rule: dict[str, Any] = {}
    if streams:
        rule["streams"] = streams
    if kinds:
        rule["kinds"] = kinds
    for field in fields or ():
        name, equals, value = field.partition("=")
        try:
            rule[name] = json.loads(value)
        except ValueError:
            equals = ""
        if not equals:
            raise ConfigError(f"--rule {field}", "it is not FIELD=VALUE with a JSON value", "write least_score=0.8")
    return rule


def _json(told: Any) -> None:
    print(json.dumps(told, indent=1))


def _secret(told: Any) -> None:
    print(f"id: {told['webhook']['id']}\nsecret: {told['secret']}")
    notes.print("The secret is not shown again.")


def _state(told: Any) -> None:
    print(f"{told['id']}: {told['status']}")


def _sent(told: Any) -> None:
    print(f"{told['id']}: {told['status']}")


def _table(told: Any) -> None:
    rows = [(each["id"], each["status"], each["name"], each["format"], each["url"]) for each in told["webhooks"]]
    _print(("id", "status", "name", "format", "url"), rows)


def _log(told: Any) -> None:
    rows = [
        (each["at"], each["kind"], each["status"], each["attempts"], each["code"] or "", each["answer"], each["id"])
        for each in told["deliveries"]
    ]
    _print(("happened", "kind", "status", "tries", "code", "answer", "webhook-id"), rows)
    if told["next"] is not None:
        notes.print(f"more: --cursor {told['next']}", highlight=False)


def _print(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    # What endpoints answer and people name goes to a terminal: escaped.
    cells = [[one_line(str(cell)) for cell in row] for row in rows]
    if not console.is_terminal:
        print("\t".join(columns), *("\t".join(row) for row in cells), sep="\n")
        return
    table = Table(box=SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    console.print(table)


for name, command in COMMANDS.items():
    webhook.command(name)(command)

"""`streamguard webhook`: commands around signed webhooks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE
from rich.live import Live
from rich.table import Table
from rich.text import Text

from streamguard.cli.runner import console, notes, run
from streamguard.errors import ConfigError, one_line

if TYPE_CHECKING:
    from aiohttp import web

MOST_ROWS = 15
MOST_BODY = 64 * 1024

webhook = typer.Typer(
    add_completion=False, help="Signed webhooks: subscribe, look after them, try them out.", no_args_is_help=True
)


@webhook.command("listen")
def listen(
    secret: Annotated[
        str | None,
        typer.Option(
            envvar="STREAMGUARD_WEBHOOK_SECRET",
            help="The subscription's whsec_ secret; made and printed when left out. Better given by the variable: "
            "command lines are seen by other users.",
        ),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any free one.")] = 8787,
    answer: Annotated[int, typer.Option(min=200, max=599, help="Status for verified messages.")] = 204,
    count: Annotated[int | None, typer.Option(min=1, help="Leave after so many verified messages.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="Leave after so many seconds.")] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line on stdout.")] = False,
) -> None:
    """Receive webhooks here, verify each signature (Standard Webhooks) and show them as they come.

    Messages that do not verify are answered 401. A message that comes again is marked; it bears the same id.
    """
    run(lambda: _listen(secret, host, port, answer, count, seconds, jsonl))


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """One request as it is shown.

    Attributes:
        at: when it came, UTC.
        id: its `webhook-id`.
        fault: why it is not taken; empty when it verified.
        repeated: how often the id came before.
        document: what it says; None when it was not taken.
    """

    at: datetime
    id: str
    fault: str
    repeated: int
    document: Any


async def _listen(
    secret: str | None, host: str, port: int, answer: int, count: int | None, seconds: float | None, jsonl: bool
) -> int:
    from aiohttp import web

    from streamguard.alerts.keys import check_secret, new_secret

    if secret is None:
        secret = new_secret()
        notes.print(f"secret: {secret}", highlight=False, soft_wrap=True)
    check_secret(secret)
    messages: asyncio.Queue[ReceivedMessage] = asyncio.Queue(maxsize=1000)
    app = web.Application(client_max_size=MOST_BODY)
    app.router.add_post("/{rest:.*}", _handler(secret, answer, messages))
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            cause = f"cannot be listened at ({error.strerror})"
            raise ConfigError(f"{host}:{port}", cause, "choose another --host or --port") from error
        address = runner.addresses[0]
        notes.print(f"listening at http://{address[0]}:{address[1]}/", highlight=False, soft_wrap=True)
        await _show(messages, count, seconds, jsonl)
    finally:
        await runner.cleanup()
    return 0


def _handler(secret: str, answer: int, messages: asyncio.Queue[ReceivedMessage]) -> Any:
    from aiohttp import web
    from standardwebhooks.webhooks import Webhook, WebhookVerificationError

    verifier = Webhook(secret)
    seen: Counter[str] = Counter()

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        id = request.headers.get("webhook-id", "")
        fault, document = "", None
        try:
            document = verifier.verify(body, dict(request.headers))
        except WebhookVerificationError as error:
            fault = str(error)
        except ValueError:
            fault = "not a signed JSON message"
        repeated = 0
        if not fault:
            repeated = seen[id]
            seen[id] += 1
        await messages.put(ReceivedMessage(datetime.now(UTC), id, fault, repeated, document))
        return web.Response(status=401 if fault else answer)

    return handle


async def _show(
    messages: asyncio.Queue[ReceivedMessage], count: int | None, seconds: float | None, jsonl: bool
) -> None:
    with contextlib.ExitStack() as stack:
        screen = None
        if not jsonl and console.is_terminal:
            screen = _Screen(stack.enter_context(Live(console=console, auto_refresh=False)))
        verified = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while count is None or verified < count:
                    message = await messages.get()
                    verified += not message.fault
                    if screen is not None:
                        screen.add(message)
                    else:
                        print(_json_line(message) if jsonl else _text_line(message), flush=True)
    sys.stdout.flush()


def _json_line(message: ReceivedMessage) -> str:
    return json.dumps(
        {
            "at": message.at.isoformat(timespec="milliseconds"),
            "webhook_id": message.id,
            "verified": not message.fault,
            "fault": message.fault,
            "repeated": message.repeated,
            "message": message.document,
        }
    )


def _cells(message: ReceivedMessage) -> tuple[str, ...]:
    """time, signature, type, stream, face, score, id: printable, whatever was sent."""
    document = message.document if isinstance(message.document, dict) else {}
    if "specversion" in document:
        document = document.get("data") or {}
    data = document.get("data") if isinstance(document, dict) else None
    data = data if isinstance(data, dict) else document
    score = data.get("score", data.get("overallConfidence"))
    signature = message.fault or (f"right, again ({message.repeated + 1})" if message.repeated else "right")
    cells = (
        f"{message.at:%H:%M:%S}",
        signature,
        document.get("type", ""),
        data.get("stream", ""),
        "" if data.get("track") is None else data["track"],
        f"{score:.2f}" if isinstance(score, (int, float)) else "",
        message.id,
    )
    return tuple(one_line(str(cell)) for cell in cells)


def _text_line(message: ReceivedMessage) -> str:
    return "  ".join(cell for cell in _cells(message) if cell)


class _Screen:
    """A table of the newest messages."""

    def __init__(self, live: Live) -> None:
        self._live, self._rows = live, deque[tuple[str, ...]](maxlen=MOST_ROWS)
        self._total = self._refused = 0

    def add(self, message: ReceivedMessage) -> None:
        """Show one more."""
        self._rows.append(_cells(message))
        self._total += 1
        self._refused += bool(message.fault)
        table = Table(box=SIMPLE, title=f"{self._total} messages, {self._refused} refused", title_justify="left")
        for column in ("time", "signature", "type", "stream", "face", "score", "webhook-id"):
            table.add_column(column)
        for row in self._rows:
            style = "green" if row[1].startswith("right") else "red"
            table.add_row(*(Text(cell, style=style if n == 1 else "") for n, cell in enumerate(row)))
        self._live.update(table, refresh=True)

"""Notices to people: sent by Apprise, which knows e-mail, Slack, Teams, Telegram, ntfy and many more by URL.

The URL is all secret: of many services even its host is a token. It is kept sealed and shown as its scheme alone.
Nothing that Apprise or a service says is kept, as that may repeat the URL; answers are told in words of ours.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Self

from streamguard.alerts.notice_text import Notice, notice_of
from streamguard.alerts.sender import Answer
from streamguard.errors import StreamguardError, SubscriptionError
from streamguard.logs import get_logger

log = get_logger(__name__)

STEP = 10.0
"""Seconds for each step of a try: to connect, to send, to be answered."""
LONGEST = 40.0
"""Seconds for a whole try, and `TURN` for a thread to make it; together less than a claim holds."""
TURN = 10.0
THREADS = 32
MOST_LATE = 1000
WAIT = 60.0
"""Seconds that a service is left alone that gets too much; Apprise does not tell how long it asked for."""
HEADER = "X-Streamguard-Notice"
_TOO_MUCH = frozenset({421, 429, 503})
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,31}(?=://)")
_HTTP = re.compile(r"error=(\d{3})\b")
_SMTP = re.compile(r"\((\d{3}), b")


@dataclass(frozen=True, slots=True)
class NoticeOptions:
    """Parts of notices beside their events.

    Attributes:
        site: URL of this server's page, for the link to the incident; empty for none.
        picture: a link to evidence -> JPEG, or None where it is not there; called on a thread. None attaches nothing.
    """

    site: str = ""
    picture: Callable[[str], bytes | None] | None = None


class Notifier:
    """Sends; an async context manager that owns its threads.

    Args:
        options: what notices are made of.
    """

    def __init__(self, options: NoticeOptions) -> None:
        self._options = options
        self._turn = asyncio.Semaphore(THREADS)
        self._threads: ThreadPoolExecutor | None = None
        self._late: OrderedDict[str, Answer] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._threads is not None:
            # Each step of a try has its limit, so a thread ends soon.
            await asyncio.to_thread(self._threads.shutdown)

    async def send(self, url: str, id: str, body: str) -> Answer:
        """Send once. Every fault of the other side is an answer, none is raised.

        Args:
            url: Apprise's, of one recipient.
            id: the same at every try; sent along where the service carries header fields.
            body: the message, JSON as of the format `notice`.
        """
        if (late := self._late.pop(id, None)) is not None:
            return late
        try:
            async with asyncio.timeout(TURN):
                await self._turn.acquire()
        except TimeoutError:
            return Answer(None, "not sent: too many notices are under way")
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="notice")
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._send, url, id, body)
        # Not when the caller gives up: a thread goes on until its service has answered.
        work.add_done_callback(lambda _: self._turn.release())
        try:
            return await asyncio.wait_for(asyncio.shield(work), LONGEST)
        except TimeoutError:
            work.add_done_callback(partial(self._keep_late, id))
            return Answer(None, f"no whole answer within {LONGEST:g} s")

    def _keep_late(self, id: str, work: asyncio.Future[Answer]) -> None:
        """A service that took its time may have the notice now: the next try finds that out, and sends nothing."""
        if not work.cancelled() and work.exception() is None and work.result().received:
            self._late[id] = work.result()
            if len(self._late) > MOST_LATE:
                self._late.popitem(last=False)

    def _send(self, url: str, id: str, body: str) -> Answer:
        try:
            service = _service(url)
        except StreamguardError as error:
            return Answer(None, f"not sent: {error}")
        notice = notice_of(json.loads(body), self._options.site)
        # Mail servers, and receivers of JSON, XML and forms, can tell by it what they have already.
        if isinstance(headers := vars(service).get("headers"), dict):
            headers[HEADER] = id
        said: list[str] = []
        _heard.lines = said
        try:
            told = service.notify(
                body=notice.text, title=notice.title, body_format="text", attach=self._attachment(service, notice)
            )
        except Exception as error:
            # Apprise has a hundred plugins, and not each one catches all. The text may hold the URL.
            log.warning("notice could not be tried", id=id, fault=type(error).__name__)
            return Answer(None, f"a fault of the service's plugin ({type(error).__name__})")
        finally:
            _heard.lines = None
        return Answer(200, "the service took it") if told else _refusal(" ".join(said))

    def _attachment(self, service: Any, notice: Notice) -> Any:
        if self._options.picture is None or not notice.picture or not service.attachment_support:
            return None
        if (jpeg := self._options.picture(notice.picture)) is None:
            return None
        from apprise import AppriseAttachment
        from apprise.attachment.memory import AttachMemory

        attachment = AppriseAttachment()
        make: Any = AttachMemory
        attachment.add(make(content=jpeg, name="alert.jpg", mimetype="image/jpeg"))
        return attachment


def check_notice(url: str) -> None:
    """Refuse what could never be sent to. Nothing is opened. Takes a second at the first call: keep it off the loop.

    Raises:
        SubscriptionError: Apprise is not installed, does not know the URL, or it names more recipients than one.
    """
    _service(url)


def shown_notice(url: str) -> str:
    """The URL as it may be shown: its scheme alone."""
    found = _SCHEME.match(url)
    return f"{found[0].lower() if found else ''}://***"


def _service(url: str) -> Any:
    """Apprise's object for the URL, set up for one try."""
    thing = shown_notice(url)
    library, asset = _library(thing)
    try:
        service = library.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except Exception:
        # As of a plugin that takes a URL apart; the text may hold it.
        service = None
    if service is None or not service.enabled:
        cause = "Apprise does not know such a URL, or something that the service needs is missing in it"
        raise SubscriptionError(thing, cause, "see the service's page at https://appriseit.com/services/")
    service.retry = 0
    recipients = max(len(service), 1) + sum(len(getattr(service, name, None) or ()) for name in ("cc", "bcc"))
    if recipients > 1:
        cause = f"it names {recipients} recipients: where one of them fails, the others would be told twice"
        raise SubscriptionError(thing, cause, "write one rule for each recipient")
    service.socket_connect_timeout = service.socket_read_timeout = STEP
    # Never in parts, of which one may fail.
    service.overflow_mode = library.OverflowMode.TRUNCATE
    return service


@lru_cache(maxsize=1)
def _apprise() -> tuple[Any, Any]:
    import apprise

    # What it says may hold a URL: it is read here, and goes nowhere else.
    logger = logging.getLogger("apprise")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.addHandler(_Ear())
    asset = apprise.AppriseAsset(
        app_id="streamguard",
        app_desc="Alerts of streamguard",
        app_url="",
        # Pictures of Apprise's own, which services would fetch from a host of its authors.
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        pgp_autogen=False,
        pem_autogen=False,
        plugin_paths=[],
        storage_mode=apprise.PersistentStoreMode.MEMORY,
    )
    return apprise, asset


def _library(thing: str) -> tuple[Any, Any]:
    try:
        return _apprise()
    except ModuleNotFoundError:
        raise SubscriptionError(thing, "Apprise is not installed", 'pip install "streamguard[notices]"') from None


class _Heard(threading.local):
    lines: list[str] | None = None


_heard = _Heard()


class _Ear(logging.Handler):
    """Hands a thread what Apprise logs in it: the one place where it tells why it failed."""

    def emit(self, record: logging.LogRecord) -> None:
        if _heard.lines is not None and len(_heard.lines) < 64:
            _heard.lines.append(record.getMessage()[:500])


def _refusal(said: str) -> Answer:
    if http := _HTTP.search(said):
        code = int(http[1])
        return Answer(code, f"the service answered {code}", WAIT if code in _TOO_MUCH else None)
    if smtp := _SMTP.search(said):
        code = int(smtp[1])
        return Answer(None, f"the mail server answered {code}", WAIT if code in _TOO_MUCH else None)
    return Answer(None, "not reached, or the connection broke off")

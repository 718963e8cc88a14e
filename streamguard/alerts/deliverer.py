"""The owner of all deliveries under way."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from streamguard.alerts.database import Database
from streamguard.alerts.finishing import finished
from streamguard.alerts.formats import PEOPLE
from streamguard.alerts.keys import Sealer
from streamguard.alerts.notices import Notifier
from streamguard.alerts.outbox import Outbox
from streamguard.alerts.owner import this_owner
from streamguard.alerts.queue import AttemptOutcome, Claim, Queue, Settled
from streamguard.alerts.schedule import wait_after
from streamguard.alerts.sender import TIMEOUT, Answer, WebhookSender
from streamguard.alerts.signing import sign
from streamguard.alerts.tally import Backlog, Latencies
from streamguard.clock import Clock, wall_clock
from streamguard.errors import OutboxError, StreamguardError
from streamguard.logs import get_logger

log = get_logger(__name__)

LEASE = 3 * TIMEOUT
MEND_EVERY = 60.0
LOOK_EVERY = 2.0
LONGEST_BACKOFF = 30.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of deliveries under way at a time. A face's deliveries to one endpoint are always one after the other.

    Attributes:
        total: deliveries in all.
        per_endpoint: to one endpoint that answers.
        failing: to all endpoints together whose last try failed; one to each. The rest stays for those that answer.
        poll: seconds between two looks for what other processes committed, or time made due.
        grace: seconds that tries under way get to end at shutdown.
    """

    total: int = 256
    per_endpoint: int = 32
    failing: int = 64
    poll: float = 0.5
    grace: float = 5.0


class Deliverer:
    """Sends what lies in the outbox, until it is closed; an async context manager.

    Killed at any moment, it loses nothing: what was claimed is taken up by the next one. Each message arrives at
    least once; again only where an answer was lost, and then with the same `webhook-id`.

    Args:
        database: the outbox's.
        sealer: opens the secrets.
        sender: sends to programs; entered by the caller, and outliving the deliverer.
        outbox: ticked for what becomes due by time; None when somebody else ticks it.
        clock: UTC epoch seconds.
        limits: how much at a time.
        chance: random numbers 0..1 for the jitter.
    """

    def __init__(
        self,
        database: Database,
        sealer: Sealer,
        sender: WebhookSender,
        *,
        outbox: Outbox | None = None,
        clock: Clock = wall_clock,
        limits: Limits | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._queue = Queue(database, this_owner(), lease=LEASE)
        self._sealer, self._sender, self._outbox = sealer, sender, outbox
        self._clock, self._limits, self._chance = clock, limits or Limits(), chance
        self._tasks: dict[asyncio.Task[Settled], str] = {}
        self._settled: list[Settled] = []
        self._failing: set[str] = set()
        self._served: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._mended = self._ticked = self._looked = float("-inf")
        self._runner: asyncio.Task[None] | None = None
        self.notifier: Notifier | None = None
        """Sends to people, and outlives the deliverer; without one, notices are tried again later."""
        self.counts: Counter[AttemptOutcome] = Counter()
        """Tries by what became of them, since the start."""
        self.latencies = Latencies()
        """From when a delivery was wanted until the endpoint had it, since the start."""
        self.backlog: list[Backlog] = []
        """Deliveries that waited in the database a few seconds ago."""

    async def __aenter__(self) -> Self:
        self._runner = asyncio.create_task(self._run(), name="webhook deliverer")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def wake(self) -> None:
        """Look for work now: something was committed or changed."""
        self._wake.set()

    async def close(self) -> None:
        """Stop claiming, give tries under way a few seconds, settle them, hand back the rest."""
        if self._runner is not None:
            self._runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._runner
            self._runner = None
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._limits.grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._collect()
        try:
            if self._settled:
                await self._queue.turn(self._settled, self._clock(), lambda _: {})
                self._settled.clear()
            await self._queue.release()
        except OutboxError as error:
            # The leases run out by themselves; an unsettled delivery comes again, with the same id.
            log.warning("webhook deliveries could not be handed back", detail=str(error))

    async def pump(self) -> None:
        """Send everything that is due at the clock's present time, and settle it; then return.

        Raises:
            OutboxError: the database failed; what was under way is settled by the next call.
        """
        while True:
            await self._advance()
            if not self._tasks and not self._settled:
                return
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)

    async def _run(self) -> None:
        pause = 0.0
        while True:
            self._wake.clear()
            try:
                busy = await finished(self._advance())
                pause = 0.0
            except Exception as error:
                pause = min(max(2 * pause, 0.5), LONGEST_BACKOFF)
                # A fault of our own is logged with its traceback; deliveries go on.
                unforeseen = None if isinstance(error, OutboxError) else error
                log.warning("webhook deliveries wait", seconds=pause, detail=str(error), exc_info=unforeseen)
                await asyncio.sleep(pause)
                continue
            if not busy:
                await self._idle()

    async def _idle(self) -> None:
        """Wait for the end of a try, a wake-up, or the next look."""
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait({woken, *self._tasks}, timeout=self._limits.poll, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            # Not awaited itself: to swallow its cancellation would swallow ours, and the end would never be heard.
            await asyncio.wait([woken])

    async def _advance(self) -> bool:
        """One round: mend, tick, settle, claim, start. Whether there was anything to do."""
        now = self._clock()
        if not -MEND_EVERY < now - self._mended < MEND_EVERY:
            await self._queue.mend(now)
            self._mended = now
        if self._outbox is not None and not 0.0 <= now - self._ticked < self._limits.poll:
            self._ticked = now
            await self._outbox.tick()
        if not 0.0 <= now - self._looked < LOOK_EVERY:
            self.backlog, self._looked = await self._queue.backlog(), now
        self._collect()
        room = self._limits.total - len(self._tasks)
        if not self._settled and (room <= 0 or not self._plan(await self._queue.waiting(now))):
            return False
        claims = await self._queue.turn(self._settled, now, self._plan)
        worked = bool(claims or self._settled)
        self._settled.clear()
        for claim in claims:
            self._served[claim.subscription] += 1
            task = asyncio.create_task(self._deliver(claim), name=f"webhook {claim.webhook_id}")
            self._tasks[task] = claim.subscription
        return worked

    def _collect(self) -> None:
        for task in [task for task in self._tasks if task.done()]:
            subscription = self._tasks.pop(task)
            if task.cancelled():
                continue
            settled = task.result()
            self._settled.append(settled)
            self.counts[settled.outcome] += 1
            if settled.outcome is AttemptOutcome.DELIVERED:
                self.latencies.add(settled.at - settled.claim.asked)
                self._failing.discard(subscription)
            else:
                self._failing.add(subscription)

    def _plan(self, waiting: Sequence[str]) -> Mapping[str, int]:
        """Return the number of further deliveries by endpoint; those that answer, and the least served, come first."""
        under_way = Counter(self._tasks.values())
        room = self._limits.total - len(self._tasks)
        failing = self._limits.failing - sum(n for one, n in under_way.items() if one in self._failing)
        plan: dict[str, int] = {}
        for one in sorted(waiting, key=lambda one: (one in self._failing, self._served[one])):
            most = 1 if one in self._failing else self._limits.per_endpoint
            free = min(most - under_way[one], room)
            if one in self._failing:
                free = min(free, failing)
                failing -= max(free, 0)
            if free > 0:
                plan[one] = free
                room -= free
        return plan

    async def _deliver(self, claim: Claim) -> Settled:
        now = self._clock()
        try:
            secrets = self._sealer.unseal(claim.sealed)
            if claim.format == PEOPLE:
                answer = await self._notify(secrets[0].text, claim)
            else:
                headers = sign(claim.webhook_id, now, claim.body, secrets)
                answer = await self._sender.post(claim.url, claim.body, {**headers, "content-type": claim.content_type})
        except StreamguardError as error:
            answer = Answer(None, str(error))
        except Exception as error:
            # A fault of ours in one message must not hold up the others.
            log.exception("webhook could not be tried", id=claim.webhook_id)
            answer = Answer(None, f"a fault of the sender ({type(error).__name__})")
        return self._judge(claim, answer)

    async def _notify(self, url: str, claim: Claim) -> Answer:
        if self.notifier is None:
            return Answer(None, "this process sends no notices")
        return await self.notifier.send(url, claim.webhook_id, claim.body)

    def _judge(self, claim: Claim, answer: Answer) -> Settled:
        now, code, text = self._clock(), answer.code, answer.text
        if answer.received:
            return Settled(claim, AttemptOutcome.DELIVERED, now, code=code, answer=text)
        if code == 410:
            return Settled(claim, AttemptOutcome.GONE, now, code=code, answer=text)
        wait = wait_after(claim.attempts + 1, self._chance, answer.retry_after)
        if wait is None:
            return Settled(claim, AttemptOutcome.DEAD, now, code=code, answer=text)
        endpoint = now + answer.retry_after if answer.retry_after else 0.0
        return Settled(claim, AttemptOutcome.RETRY, now, now + wait, code, text, endpoint)

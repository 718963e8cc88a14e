"""Rule of a subscription: the events it gets. Checked when it is made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from streamguard.errors import SubscriptionError
from streamguard.types import Event, EventKind

FACE_KINDS = (EventKind.FAKE_OPENED, EventKind.FAKE_UPDATED, EventKind.FAKE_CLOSED)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")

Seconds = Annotated[float, Field(ge=0.0, le=86_400.0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]


class QuietHours(BaseModel):
    """Hours of the week in which nothing is sent; what still holds at their end is sent then."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    days: tuple[str, ...] = Field(default=DAYS, description="On which the hours begin, `mon` to `sun`.")
    start: str = Field(description="`HH:MM` by the clock of `zone`.")
    end: str = Field(description="`HH:MM`; not after the start: on the next day.")
    zone: str = Field(
        default="UTC",
        description="IANA name, as `Europe/Warsaw`. Where a clock change skips or repeats an hour, the wall clock "
        "counts.",
    )

    @field_validator("days")
    @classmethod
    def _known_days(cls, days: tuple[str, ...]) -> tuple[str, ...]:
        if not days or set(days) - set(DAYS) or len(set(days)) != len(days):
            raise ValueError(f"name each day once, out of {', '.join(DAYS)}")
        return days

    @field_validator("start", "end")
    @classmethod
    def _clock(cls, value: str) -> str:
        if not _CLOCK.fullmatch(value):
            raise ValueError("write the time as HH:MM, 00:00 to 23:59")
        return value

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except Exception:
            raise ValueError("give an IANA time zone such as Europe/Warsaw") from None
        return value

    def until(self, now: datetime) -> datetime | None:
        """The end (UTC) of the quiet hours that hold at `now` (aware), or None where they do not."""
        zone = ZoneInfo(self.zone)
        start, end = time.fromisoformat(self.start), time.fromisoformat(self.end)
        today = now.astimezone(zone).date()
        for day in (today - timedelta(days=1), today):
            if DAYS[day.weekday()] not in self.days:
                continue
            begins = datetime.combine(day, start, zone).astimezone(UTC)
            ends = datetime.combine(day + timedelta(days=end <= start), end, zone).astimezone(UTC)
            if begins <= now < ends:
                return ends
        return None


class Rule(BaseModel):
    """Events that a subscription gets, and when.

    An incident's alert is *raised* (its `fake.opened` is told) once the face has been called fake, at the least score
    and share, for `for_seconds` of the last `within_seconds`; it is *cleared* (its `fake.closed` is told) once that
    no longer holds and `hold_seconds` have passed. Nothing is told twice, and nothing is cleared that was not raised.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    streams: Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], Field(max_length=64)] = Field(
        default=("*",), description="Shell patterns (`*`, `?`, `[...]`) of stream names; one match is enough."
    )
    kinds: tuple[EventKind, ...] = Field(default=FACE_KINDS, description="Events that are sent.")
    least_score: Share = Field(default=0.0, description="Calibrated score below which a face does not count as fake.")
    least_share: Share = Field(default=0.0, description="Share of fake frames below which it does not.")
    for_seconds: Seconds = Field(
        default=0.0, description="M: so many of the last `within_seconds` it is called fake; 0 raises at once."
    )
    within_seconds: Seconds = Field(default=0.0, description="N, at least M; default: M.")
    hold_seconds: Seconds = Field(default=0.0, description="How long a raised alert stays at the least.")
    cool_down_seconds: Seconds = Field(
        default=0.0, description="How long after a cleared alert the same incident is not raised again."
    )
    update_seconds: Annotated[float, Field(ge=60.0, le=86_400.0, allow_inf_nan=False)] = Field(
        default=60.0, description="At most one `fake.updated` per incident in so many seconds."
    )
    quiet: Annotated[tuple[QuietHours, ...], Field(max_length=16)] = Field(
        default=(), description="Hours in which nothing is sent."
    )
    flap_count: Annotated[int, Field(ge=2, le=100)] = Field(
        default=5,
        description="An alert about to be raised for the so-many-th time in `flap_seconds` is sent once, marked as "
        "flapping, and cleared only after `flap_seconds` without a fake.",
    )
    flap_seconds: Seconds = Field(default=300.0, description="See `flap_count`.")

    @model_validator(mode="before")
    @classmethod
    def _window_follows(cls, data: Any) -> Any:
        """M alone means M seconds on end."""
        if isinstance(data, dict) and "for_seconds" in data and "within_seconds" not in data:
            return {**data, "within_seconds": data["for_seconds"]}
        return data

    @model_validator(mode="after")
    def _sound(self) -> Rule:
        if not self.streams:
            raise ValueError("streams: name at least one pattern")
        if not self.kinds or len(set(self.kinds)) != len(self.kinds):
            raise ValueError("kinds: name each kind once, and at least one")
        if self.within_seconds < self.for_seconds:
            raise ValueError("within_seconds: at least for_seconds are needed")
        return self

    def matches(self, stream: str) -> bool:
        """Return whether the stream is one of those meant."""
        return any(fnmatchcase(stream, pattern) for pattern in self.streams)

    def strong(self, event: Event) -> bool:
        """Return whether score and share reach the least ones; an event without any passes where none is asked for."""
        return (self.least_score <= (event.score or 0.0)) and (self.least_share <= (event.share or 0.0))

    def quiet_until(self, now: datetime) -> datetime | None:
        """The moment (UTC) at which the rule may speak again; None where it may now."""
        end: datetime | None = None
        # One period may begin before another ends; each pass takes up the next one, a week of them at the most.
        for _ in range(7 * len(self.quiet)):
            ends = [until for hours in self.quiet if (until := hours.until(end or now)) is not None]
            if not ends:
                break
            end = max(ends)
        return end


def read_rule(document: object) -> Rule:
    """The rule of a JSON document.

    Raises:
        SubscriptionError: unknown or wrong fields; the cause names the first.
    """
    try:
        return Rule.model_validate(document)
    except ValidationError as error:
        raise SubscriptionError("rule", told(error.errors()), "correct the field") from None


def told(errors: Iterable[Any]) -> str:
    """The first fault of a pydantic validation in a clause, without the value given."""
    first = next(iter(errors))
    where = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where else message

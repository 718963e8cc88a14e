"""The one text of all notices: what happened, how sure, where to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Template
from typing import Any
from urllib.parse import quote, urlsplit

from streamguard.types import Closing

PICTURE = "/snapshot-mask.jpg"
TEXT = Template("$what\n\nTime: $time\nStream: $stream\n$facts\n$notice")
_TITLES = {
    "fake.opened": "Fake face in “$stream”",
    "fake.updated": "Still a fake face in “$stream”",
    "fake.closed": "Fake face in “$stream”: closed, not cleared",
    "stream.up": "Stream “$stream” is up",
    "stream.down": "Stream “$stream” is down",
    "stream.degraded": "Stream “$stream” is judged less often",
    "webhook.test": "Test from streamguard",
}
_WHAT = {
    "fake.opened": "A face in this stream looks manipulated.",
    "fake.updated": "A face in this stream goes on looking manipulated.",
    "fake.closed": "A face that looked manipulated is not judged any more. This is no all-clear.",
    "stream.up": "The stream plays again.",
    "stream.down": "The stream does not play: nothing in it is judged.",
    "stream.degraded": "The stream is judged less often than it should be.",
    "webhook.test": "Notices from this server arrive here. Nothing has happened.",
}
_WHY = {
    Closing.LOST: "The face was lost from sight.",
    Closing.STREAM_BROKE: "The stream, or the server, was interrupted.",
    Closing.STREAM_ENDED: "The stream ended.",
    Closing.SUPERSEDED: "The stream was given another source.",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """Text of a notice.

    Attributes:
        title: one line.
        text: plain, a few lines.
        picture: link to the frame with its mask; empty where there is none.
    """

    title: str
    text: str
    picture: str = ""


def notice_of(document: Mapping[str, Any], site: str) -> Notice:
    """The notice of an event.

    Args:
        document: a message of the format `streamguard`.
        site: URL of the server's page; empty for no link to it.
    """
    kind, data = str(document["type"]), document["data"]
    cause = Closing(data["cause"]) if data["cause"] else None
    title, what = _TITLES[kind], _WHAT[kind]
    if cause is Closing.CLEARED:
        title, what = "Fake face in “$stream”: cleared", "The face was judged, and looks manipulated no more."
    picture = next((link for link in data["evidence"] if urlsplit(link).path.endswith(PICTURE)), "")
    facts = []
    if data["score"] is not None:
        facts.append(f"Score: {data['score']:.2f}")
    if data["share"] is not None:
        facts.append(f"Fake frames: {data['share']:.0%}")
    if cause in _WHY:
        facts.append(_WHY[cause])
    if data["detail"] and kind != "webhook.test":
        facts.append(data["detail"])
    if data["flapping"]:
        facts.append("It comes and goes: one notice stands for many.")
    if picture:
        facts.append(f"Picture: {picture}")
    if data["incident"] and site:
        facts.append(f"Incident: {site.rstrip('/')}/#/incident/{quote(data['incident'], safe='')}")
    stream = " ".join(str(data["stream"]).split())
    text = TEXT.substitute(
        what=what,
        time=document["timestamp"],
        stream=stream,
        facts="".join(f"{line}\n" for line in facts),
        notice=data["notice"],
    )
    return Notice(Template(title).substitute(stream=stream), text, picture)

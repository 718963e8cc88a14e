"""Outputs of streams: what is told of them, and that no fault of theirs is one of anybody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from streamguard.types import EventKind
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.server.test_alert_metrics import Values, measured, once
from tests.support.hosts import refused_port
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.portraits import portrait_clip
from tests.support.sounding import with_tone


def of_output(values: Values, name: str, output: int) -> float:
    """The value of a metric of one output of `studio`."""
    return next(
        value
        for (found, *labels), value in values.items()
        if found == f"streamguard_output_{name}"
        and ("output", str(output)) in labels
        and ("stream", "studio") in labels
    )


async def outputs(http: aiohttp.ClientSession) -> list[dict[str, Any]]:
    """As the API tells them."""
    return list((await (await http.get("/api/v1/streams/studio")).json())["outputs"])


async def test_a_peer_that_dies_and_comes_back_is_its_own_affair(serve_with: ServeWith, tmp_path: Path) -> None:
    clip = with_tone(portrait_clip(tmp_path / "silent.mp4", 4.0), tmp_path / "in.mp4")
    (tmp_path / "hls").mkdir()
    with NginxRtmp() as peer:
        targets = [peer.url("k3y"), str(tmp_path / "hls"), str(tmp_path / "out.ts")]
        stream = {"name": "studio", "source": f"loop:{clip}", "outputs": targets}
        async with serve_with(streams=[stream]) as (server, http):
            values = await once(http, lambda now: all(of_output(now, "up", each) for each in range(3)))
            assert of_output(values, "reconnects_total", 0) == of_output(values, "failures_total", 0) == 0
            peer.kill()
            dead = await once(http, lambda now: not of_output(now, "up", 0))
            assert of_output(dead, "failures_total", 0) >= 1
            told = await outputs(http)
            assert (told[0]["up"], told[1]["up"], told[2]["up"]) == (False, True, True)
            assert told[0]["detail"]
            judged = server.hub.find("studio").counts.judged

            def flows(now: Values) -> bool:
                more = (
                    of_output(now, "pictures_total", each) - of_output(dead, "pictures_total", each) for each in (1, 2)
                )
                return all(each > 20 for each in more) and server.hub.find("studio").counts.judged > judged + 20

            others = await once(http, flows)
            assert of_output(others, "pictures_dropped_total", 0) > of_output(dead, "pictures_dropped_total", 0)
            peer.start()
            back = await once(http, lambda now: bool(of_output(now, "up", 0)))
            assert of_output(back, "reconnects_total", 0) == 1
            await once(
                http, lambda now: of_output(now, "pictures_total", 0) > of_output(back, "pictures_total", 0) + 20
            )
            all_dropped = of_output(back, "pictures_dropped_total", 0)
            # Nobody else has noticed.
            for each in (1, 2):
                assert of_output(back, "failures_total", each) == of_output(back, "reconnects_total", each) == 0
                # A busy machine drops some pictures everywhere; what is dead drops all.
                assert of_output(back, "pictures_dropped_total", each) < all_dropped / 2
                # Its sound goes along.
                assert of_output(back, "packets_total", each) > 1.5 * of_output(back, "pictures_total", each)
            assert server.events.counts[EventKind.STREAM_UP] == 1
            assert server.events.counts[EventKind.STREAM_DOWN] == 0
            text = await (await http.get("/metrics")).text()
    assert "k3y" not in text + str(told)


async def test_outputs_that_look_alike_are_told_apart(serve_with: ServeWith, real: Path) -> None:
    port = refused_port()
    targets = [f"rtmp://127.0.0.1:{port}/live/one", f"rtmp://127.0.0.1:{port}/live/two"]
    async with serve_with(streams=[{"name": "studio", "source": str(real), "outputs": targets}]) as (_, http):
        await once(http, lambda now: all(of_output(now, "failures_total", each) >= 2 for each in range(2)))
        families = text_string_to_metric_families(await (await http.get("/metrics")).text())
        series = [(sample.name, *sorted(sample.labels.items())) for family in families for sample in family.samples]
        assert len(series) == len(set(series))
        labels = {dict(labels)["target"] for name, *labels in series if name == "streamguard_output_up"}
        assert labels == {f"rtmp://127.0.0.1:{port}/live/***"}


async def test_encoding_for_outputs_is_counted_to_the_stream(serve_with: ServeWith, real: Path, tmp_path: Path) -> None:
    stream = {"name": "studio", "source": str(real), "outputs": [str(tmp_path / "out.ts")]}
    async with serve_with(streams=[stream, {"name": "other", "source": str(real)}]) as (server, http):
        await until(lambda: server.hub.find("studio").stage_seconds.get("encode", 0.0) > 0)
        values = await measured(http)
        assert values["streamguard_stage_seconds_total", ("stage", "encode"), ("stream", "studio")] > 0
        assert values.get(("streamguard_stage_seconds_total", ("stage", "encode"), ("stream", "other")), 0.0) == 0
        assert values["streamguard_restream_pictures_failed_total", ("stream", "studio")] == 0
        assert (await (await http.get("/api/v1/streams/other")).json())["outputs"] == []
        assert values["process_open_fds",] > 3
        assert values["process_resident_memory_bytes",] > 1e7


async def test_pictures_that_are_not_judged_are_sent_on_too(serve_with: ServeWith, tmp_path: Path) -> None:
    clip = with_tone(portrait_clip(tmp_path / "silent.mp4", 4.0), tmp_path / "in.mp4")
    targets = [str(tmp_path / "out.ts")]
    stream = {"name": "studio", "source": f"loop:{clip}", "outputs": targets, "sampling": {"judged_per_second": 2}}
    async with serve_with(streams=[stream]) as (server, http):
        values = await once(http, lambda now: of_output(now, "pictures_total", 0) > 100)
        counts = server.hub.find("studio").counts
        assert counts.judged < counts.received / 4
        assert values["streamguard_restream_pictures_dropped_total", ("stream", "studio")] == 0

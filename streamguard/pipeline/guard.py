"""The composition root of judging: one model, one engine, one batcher, many streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from streamguard.errors import ModelError, redact
from streamguard.faces import FaceFinder, Gate
from streamguard.inference import (
    Batcher,
    Engine,
    EngineCache,
    EngineHealth,
    LastingEngine,
    Recovery,
    candidates,
    select,
)
from streamguard.media import SoundListener, SourceItem, SourceOptions, SourceSupervisor
from streamguard.models import DEFAULT_MODEL, LoadedModel, ModelSpec, load
from streamguard.pipeline.extensions import DEFAULT_DETECTOR, make_detector, source_plugin
from streamguard.pipeline.processor import Busy
from streamguard.pipeline.stream import FrameReport, Names, StreamPipeline
from streamguard.pipeline.turns import Turns
from streamguard.types import Event, Frame
from streamguard.verdict import Calibration, FrameRule, StreamVote, VoteSettings

MODEL_INPUT = 256


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How one stream is judged.

    Attributes:
        source: how it is opened.
        vote: the sliding vote.
        detect_every: the face detector runs on every k-th frame.
        in_flight: frames between decoding and report.
        wait_for_source: keep trying when the source is not there at first.
        detector: the face detector, built in or of a plugin (entry points `streamguard.detectors`).
        judged_per_second: no more frames are judged in a second of media; None for all there is time for.
        priority: where there is not time for all, frames of a live stream that are judged for each one of a stream
            of 1; no stream is left without for more than a second while another one has two.
    """

    source: SourceOptions = SourceOptions()
    vote: VoteSettings = VoteSettings()
    detect_every: int = 5
    in_flight: int = 2
    wait_for_source: bool = False
    detector: str = DEFAULT_DETECTOR
    judged_per_second: float | None = None
    priority: int = 1


class Guard:
    """Judges streams and files with one detector.

    Use as an async context manager::

        async with Guard.open("unet_lite0") as guard:
            async for item in guard.watch("rtsp://camera/live"):
                ...

    Args:
        model: the detector.
        engine: what runs it; closed by the guard.
        threads: CPU threads for finding faces and applying the rule, of all streams together.
        max_batch: crops the engine takes at once.
        max_delay: seconds a crop waits for its batch to fill while the processors are busy.
        label: the engine's name as written into events, with a hash; default: name and precision.
        turns: shared with other guards on this machine; default: its own.

    Attributes:
        turns: whose frame is analysed next.
    """

    def __init__(
        self,
        model: LoadedModel,
        engine: Engine,
        *,
        threads: int = 2,
        max_batch: int = 8,
        max_delay: float = 0.08,
        label: str = "",
        turns: Turns | None = None,
    ) -> None:
        self.spec = check_input(model.spec)
        self.engine = engine
        self.model_label = f"{self.spec.name}@{self.spec.digest}"
        self._label = label or f"{engine.name}-{engine.precision}"
        self.rule = frame_rule(self.spec)
        self.turns = turns or Turns()
        overdue = engine.overdue if isinstance(engine, LastingEngine) else None
        self._batcher = Batcher(engine, max_batch=max_batch, max_delay=max_delay, busy=Busy(), overdue=overdue)
        self._executor = ThreadPoolExecutor(max(1, threads), thread_name_prefix="guard")

    @classmethod
    def open(
        cls,
        model: str = DEFAULT_MODEL,
        engine: str | None = None,
        *,
        threads: int = 2,
        cache: Path | None = None,
        patience: float = 0.0,
        recovery: Recovery | None = None,
        turns: Turns | None = None,
    ) -> Self:
        """A guard for the named model on the best engine here, or the named one.

        An engine that raises or does not answer is loaded again, and replaced by the next best one where that does
        not help.

        Args:
            model, engine: their names.
            threads: as for the class.
            cache: folder of compiled engines; default: beside the weights, else in the user's cache folder.
            patience: seconds that frames wait for an engine that is being loaded again; 0 calls their faces UNKNOWN
                at once. For files, which can wait.
            recovery: how hard it is tried.
            turns: as for the class.

        Raises:
            UnknownModel, CorruptWeights, ConfigError: the model cannot be loaded.
            ModelError: its input is not of the size of a crop.
            UnknownEngine, EngineUnavailable, ParityError: the named engine cannot be used.
        """
        loaded = load(model)
        # An engine takes minutes to compile on some machines.
        check_input(loaded.spec)
        kept = EngineCache(cache) if cache else None
        selected = select(loaded, engine, cache=kept)
        ladder = candidates(loaded, selected.engine.name, cache=kept)
        label = selected.manifest.label
        lasting = LastingEngine(selected.engine, label, ladder, recovery=recovery, patience=patience)
        return cls(loaded, lasting, threads=threads, turns=turns)

    @property
    def engine_label(self) -> str:
        """The name in events of the engine that judges now."""
        return self.engine.label if isinstance(self.engine, LastingEngine) else self._label

    @property
    def engine_health(self) -> EngineHealth:
        """How the engine does."""
        if isinstance(self.engine, LastingEngine):
            return self.engine.health()
        return EngineHealth("ok", self.engine.name)

    @property
    def batcher(self) -> Batcher:
        """The shared batcher: its counters tell the load."""
        return self._batcher

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop the engine and all threads, but for one that hangs. Streams must have been closed before."""
        await self._batcher.aclose()
        self._executor.shutdown(wait=True)
        # It may be in the midst of being loaded again.
        await asyncio.to_thread(self.engine.close)

    def pipeline(
        self, items: AsyncIterator[SourceItem], name: str, options: WatchOptions = WatchOptions()
    ) -> StreamPipeline:
        """The wiring of one stream over any frames: for those who make their own, or want the counters."""
        spec = self.spec
        finder = FaceFinder(make_detector(options.detector), gate(spec), spec.margin, MODEL_INPUT, options.detect_every)
        pipeline = StreamPipeline(
            Names(name, self.model_label, self.engine_label),
            items,
            finder,
            self._batcher,
            self.rule,
            StreamVote(options.vote),
            self._executor,
            options.in_flight,
            lambda: self.engine_label,
            self.turns,
            options.judged_per_second,
            options.priority,
        )
        if isinstance(items, SourceSupervisor):
            # Nobody else sees its frames: those that are not judged need not leave their thread.
            items.only(pipeline.wants)
        return pipeline

    async def watch(
        self,
        url: str,
        *,
        name: str = "",
        live: bool | None = None,
        options: WatchOptions = WatchOptions(),
        sound: SoundListener | None = None,
        frames: Callable[[Frame], None] | None = None,
    ) -> AsyncGenerator[FrameReport | Event, None]:
        """Reports and events of a stream or file, until it ends or the iterator is closed.

        Args:
            url: a file, `camera:0`, or an http(s), rtsp(s), rtmp(s) or HLS URL; `loop:` and a file plays it for ever.
            name: the stream's name in events; default: the URL without its password.
            live: True plays a file at its own rate, newest frame only; None: as the source is.
            options: how it is judged.
            sound: gets the source's compressed sound, as `Restream.sound`; the source of a plugin has none.
            frames: called with every frame as it comes, judged or not, as `Restream.frame`; must be quick.

        Raises:
            SourceError, MediaError: it cannot be opened, or a file proves damaged (after all reports before that).
        """
        name = name or redact(url)
        waiting = options.wait_for_source
        if (plugin := source_plugin(url)) is not None:
            async with (
                aclosing(plugin(name, url)) as made,
                _shown(made, frames) as shown,
                aclosing(self.pipeline(shown, name, options).run()) as items,
            ):
                async for item in items:
                    yield item
            return
        async with (
            SourceSupervisor(name, url, options.source, live=live, wait_for_source=waiting, sound=sound) as source,
            _shown(source, frames) as shown,
            aclosing(self.pipeline(shown, name, options).run()) as items,
        ):
            async for item in items:
                yield item


@asynccontextmanager
async def _shown(
    items: AsyncIterator[SourceItem], frames: Callable[[Frame], None] | None
) -> AsyncIterator[AsyncIterator[SourceItem]]:
    """The items, each frame of which is shown to somebody beside the pipeline."""
    if frames is None:
        yield items
        return

    async def showing() -> AsyncGenerator[SourceItem, None]:
        async for item in items:
            if isinstance(item, Frame):
                frames(item)
            yield item

    async with aclosing(showing()) as shown:
        yield shown


def check_input(spec: ModelSpec) -> ModelSpec:
    """The spec, if its input is as large as the crops that the guard cuts.

    Raises:
        ModelError: it is not.
    """
    if spec.size != MODEL_INPUT:
        raise ModelError(spec.name, f"its input is {spec.size} px, not {MODEL_INPUT}", "choose another model")
    return spec


def frame_rule(spec: ModelSpec) -> FrameRule:
    """The frame rule at the spec's thresholds, component size and calibration."""
    calibration = Calibration(spec.calibration_slope, spec.calibration_offset)
    return FrameRule(spec.threshold, spec.smallest_component, calibration, spec.unsure_threshold)


def gate(spec: ModelSpec) -> Gate:
    """The quality gate at the spec's limits."""
    return Gate(spec.smallest_face, spec.least_sharpness, spec.least_inside)

"""The composition root of judging: one model, one engine, one batcher, many streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from streamguard.errors import ModelError, redact
from streamguard.faces import FaceFinder, QualityGate
from streamguard.inference import (
    Batcher,
    Engine,
    EngineCache,
    EngineHealth,
    FailoverEngine,
    Recovery,
    candidates,
    select,
)
from streamguard.media import Retry, SoundListener, SourceItem, SourceOptions, SourceSupervisor, Taps
from streamguard.models import DEFAULT_MODEL, LoadedModel, ModelSpec, load
from streamguard.pipeline.cpu_usage import Busy, processors
from streamguard.pipeline.extensions import DEFAULT_DETECTOR, make_detector, source_of
from streamguard.pipeline.sampling import Demand, Sampled
from streamguard.pipeline.scheduler import SPARE, Scheduler
from streamguard.pipeline.stream import FrameReport, Names, Stages, StreamPipeline
from streamguard.types import Event, Frame
from streamguard.verdict import FrameRule, IncidentBook, ScoreCalibration, StreamVote, VoteSettings

MODEL_INPUT = 256
_FRAMES_A_PROCESSOR = 2
"""In analysis at the least: while the network judges the one, the other's faces are looked for."""


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """Options for judging one stream.

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
        still: each frame is a picture by itself, as of a photo: no face is tracked.
        spare: a file's frames wait until no live stream wants its turn, but for one a second.
    """

    source: SourceOptions = SourceOptions()
    vote: VoteSettings = VoteSettings()
    detect_every: int = 5
    in_flight: int = 2
    wait_for_source: bool = False
    detector: str = DEFAULT_DETECTOR
    judged_per_second: float | None = None
    priority: int = 1
    still: bool = False
    spare: bool = False


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
        turns: Scheduler | None = None,
    ) -> None:
        self.spec = check_input(model.spec)
        self.engine = engine
        self.model_label = f"{self.spec.name}@{self.spec.digest}"
        self._label = label or f"{engine.name}-{engine.precision}"
        self.rule = frame_rule(self.spec)
        self.turns = turns or Scheduler(least=round(_FRAMES_A_PROCESSOR * processors()))
        overdue = engine.overdue if isinstance(engine, FailoverEngine) else None
        self._batcher = Batcher(engine, max_batch=max_batch, max_delay=max_delay, busy=Busy(), overdue=overdue)
        self._executor = ThreadPoolExecutor(max(1, threads), thread_name_prefix="guard")

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        model: str = DEFAULT_MODEL,
        engine: str | None = None,
        *,
        threads: int = 2,
        cache: Path | None = None,
        patience: float = 0.0,
        recovery: Recovery | None = None,
        turns: Scheduler | None = None,
    ) -> AsyncGenerator[Self, None]:
        """Load a guard while the event loop runs on, and close it at the end; arguments and errors as of `load`."""
        loading = partial(cls.load, model, engine, threads=threads, cache=cache, patience=patience)
        async with await asyncio.to_thread(loading, recovery=recovery, turns=turns) as guard:
            yield guard

    @classmethod
    def load(
        cls,
        model: str = DEFAULT_MODEL,
        engine: str | None = None,
        *,
        threads: int = 2,
        cache: Path | None = None,
        patience: float = 0.0,
        recovery: Recovery | None = None,
        turns: Scheduler | None = None,
    ) -> Self:
        """Return a guard for the named model on the best engine here, or the named one. Takes seconds, or minutes.

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
        failover = FailoverEngine(selected.engine, label, ladder, recovery=recovery, patience=patience)
        return cls(loaded, failover, threads=threads, turns=turns)

    @property
    def engine_label(self) -> str:
        """The name in events of the engine that judges now."""
        return self.engine.label if isinstance(self.engine, FailoverEngine) else self._label

    @property
    def engine_health(self) -> EngineHealth:
        """State of the engine."""
        if isinstance(self.engine, FailoverEngine):
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
        self,
        items: AsyncIterator[SourceItem],
        name: str,
        options: WatchOptions = WatchOptions(),
        demand: Demand | None = None,
    ) -> StreamPipeline:
        """The wiring of one stream over any frames: for those who make their own, or want the counters.

        Args:
            items: frames and connection changes.
            name: the stream's name in events.
            options: how it is judged.
            demand: what the source of the items asks (`Taps.wanted`); the judge is put into it.
        """
        spec = self.spec
        detector, every = make_detector(options.detector), options.detect_every
        finder = FaceFinder(detector, gate(spec), spec.margin, MODEL_INPUT, every, still=options.still)
        priority = SPARE if options.spare else options.priority
        return StreamPipeline(
            Names(name, self.model_label, lambda: self.engine_label),
            Sampled(items, self.turns, options.judged_per_second, priority, demand),
            Stages(finder, self._batcher, self.rule, StreamVote(options.vote)),
            self._executor,
            options.in_flight,
        )

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
        name, demand = name or redact(url), Demand(_Shown(frames) if frames is not None else None)
        async with (
            SourceSupervisor(
                name,
                source_of(url, name),
                options.source,
                live=live,
                retry=Retry("retryable" if options.wait_for_source else "never"),
                taps=Taps(demand, demand.spares, sound=sound),
            ) as source,
            aclosing(self.pipeline(source, name, options, demand).run()) as items,
        ):
            incidents, tracks = IncidentBook(), frozenset[int]()
            async for item in items:
                if isinstance(item, Event):
                    yield incidents.take(item, tracks)
                else:
                    tracks = frozenset(item.state.tracks)
                    yield item


class _Shown:
    """Shows every frame to somebody beside the pipeline."""

    needs_frames = True

    def __init__(self, show: Callable[[Frame], None]) -> None:
        self._show = show

    def follow(self, item: SourceItem) -> None:
        if isinstance(item, Frame):
            self._show(item)


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
    calibration = ScoreCalibration(spec.calibration_slope, spec.calibration_offset)
    return FrameRule(spec.threshold, spec.smallest_component, calibration, spec.unsure_threshold)


def gate(spec: ModelSpec) -> QualityGate:
    """The quality gate at the spec's limits."""
    return QualityGate(spec.smallest_face, spec.least_sharpness, spec.least_inside)

"""`streamguard bench`: what a crop, a frame and a stream cost on this machine."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.table import Table

from streamguard.cli.compile import precision_of
from streamguard.cli.runner import console, notes, run

if TYPE_CHECKING:
    from streamguard.faces import Detections, FaceDetector
    from streamguard.inference import Engine, Precision
    from streamguard.models import LoadedModel
    from streamguard.types import Picture

T = TypeVar("T")
WIDTH, HEIGHT, RATE = 1280, 720, 30.0
STAGES = ("decode", "detect", "track", "crop", "infer", "rule", "overlay", "encode")


def bench(
    model: Annotated[list[str] | None, typer.Option(help="Detectors; default: all that are here.")] = None,
    engine: Annotated[list[str] | None, typer.Option(help="Engines beside eager; default: all that work here.")] = None,
    precision: Annotated[
        list[str] | None, typer.Option(help="Precisions side by side, where an engine has them; may be repeated.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds per engine measured.")] = 6.0,
    clip: Annotated[Path | None, typer.Option(help="Video of one face; default: a 720p portrait clip.")] = None,
) -> None:
    """Measure crops per second of each engine beside eager, and the CPU time of each stage."""
    from streamguard import models
    from streamguard.errors import UnknownEngine
    from streamguard.inference import factories
    from streamguard.media import open_source

    known = tuple(factories())
    if unknown := sorted(set(engine or ()) - set(known)):
        raise UnknownEngine(", ".join(unknown), "no engine of that name", f"choose from {', '.join(known)}")
    if clip is not None:
        with open_source(str(clip)):
            pass
    names = model or sorted(set(models.available()) | {"unet", "unet_v1"})
    loaded = [_load(name) for name in names]
    # One engine named: the stages and the whole pipeline are its own, too.
    chosen = engine[0] if engine and len(engine) == 1 else None
    console.print(_engines(loaded, engine, seconds, [precision_of(name) for name in precision or ()]))
    judge = next((one for one in loaded if one.spec.name == models.DEFAULT_MODEL), loaded[0])
    with tempfile.TemporaryDirectory() as folder:
        path = clip or Path(folder) / "portrait.mp4"
        if clip is None:
            from streamguard.training.portrait_clip import write_portrait_clip

            notes.print("making a 720p30 clip of one face")
            write_portrait_clip(path, seconds=8.0, fake_from=4.0, rate=RATE, width=WIDTH, height=HEIGHT)
        console.print(_stages(path, judge, chosen, Path(folder) / "annotated.mp4"))
        run(lambda: _throughput(path, judge, chosen))


def _load(name: str) -> LoadedModel:
    """The shipped detector, or the same network with random weights: the cost is the same."""
    from streamguard import models
    from streamguard.models import networks

    if name not in models.available() and name in {"unet", "unet_v1"}:
        notes.print(f"{name}: no weights are shipped, timed with random ones")
        return networks.fresh(name)
    return models.load(name)


def _engines(
    loaded: list[LoadedModel],
    wanted: list[str] | None,
    seconds: float,
    precisions: Sequence[Precision | None] = (),
) -> Table:
    import numpy as np

    from streamguard.errors import EngineError
    from streamguard.inference import EngineOptions, factories, parity_crops, prepare
    from streamguard.pipeline.cpu_usage import processors

    table = Table(title=f"Crops per second, {processors():g} core(s)", title_justify="left")
    for column in ("model", "engine", "precision", "crops/s", "beside eager"):
        table.add_column(column, justify="right" if column in {"crops/s", "beside eager"} else "left")
    known = factories()
    for model in loaded:
        engines: dict[tuple[str, str], Engine] = {}
        for name, factory in known.items():
            probe = factory.probe()
            if name != "torch" and not (name in wanted if wanted else probe.available and probe.automatic):
                continue
            # The others stand beside what is taken by itself.
            for precision in (None, *precisions) if name != "torch" else (None,):
                try:
                    one = prepare(factory, model, EngineOptions(max_batch=8, precision=precision)).engine
                except EngineError as error:
                    table.add_row(model.spec.name, name, precision or "-", "-", f"refused: {error.cause}")
                else:
                    # Asked for by name, the default comes a second time.
                    engines.setdefault((name, one.precision), one)
        crops = np.resize(parity_crops(), (8, 256, 256, 3))
        # In turns, so that a noisy neighbour slows all alike.
        done: Counter[tuple[str, str]] = Counter()
        spent: defaultdict[tuple[str, str], float] = defaultdict(float)
        for one in engines.values():
            one.infer(crops)
        while any(spent[key] < seconds for key in engines):
            for key, one in engines.items():
                start = time.perf_counter()
                one.infer(crops)
                spent[key] += time.perf_counter() - start
                done[key] += len(crops)
        eager = done["torch", "float32"] / spent["torch", "float32"]
        for key, one in engines.items():
            rate = done[key] / spent[key]
            table.add_row(model.spec.name, *key, f"{rate:.1f}", f"{rate / eager:.1f}x")
            one.close()
    return table


def _stages(path: Path, model: LoadedModel, chosen: str | None, annotated: Path) -> Table:
    """Each stage alone, one after the other, so that the CPU time of all its threads is its own."""
    from streamguard.faces import CenterFaceDetector, FaceFinder
    from streamguard.inference import select
    from streamguard.media import Mp4Writer, open_source
    from streamguard.overlay import OverlayItem, paint
    from streamguard.pipeline.guard import frame_rule, gate
    from streamguard.types import Frame, Mask

    spent: defaultdict[str, float] = defaultdict(float)

    def timed(stage: str, work: Callable[..., T], *arguments: Any) -> T:
        start = time.process_time()
        result = work(*arguments)
        spent[stage] += time.process_time() - start
        return result

    engine, rule = select(model, chosen).engine, frame_rule(model.spec)
    detector = _Timed(CenterFaceDetector(), spent)
    finder = FaceFinder(detector, gate(model.spec), model.spec.margin)
    frames = 0
    with open_source(str(path)) as source, Mp4Writer(annotated, source.width, source.height, RATE) as writer:
        decoded = iter(source)
        while (item := timed("decode", next, decoded, None)) is not None:
            frame = Frame("bench", 0, item.index, item.time, time.monotonic(), item.picture)
            before = spent["detect"]
            start = time.process_time()
            found = finder.find(frame)
            rest = time.process_time() - start - (spent["detect"] - before)
            cut = min(rest, found.seconds["crop"])
            spent["track"] += rest - cut
            spent["crop"] += cut
            verdicts = []
            for crop in found.crops:
                probability = timed("infer", engine.infer, crop.pixels[None])[0]
                verdicts.append(timed("rule", rule.judge, Mask(crop, probability)))
            items = [OverlayItem(v.face, v.state, v.reason, v.score, None, v.mask, rule.threshold) for v in verdicts]
            painted = timed("overlay", paint, item.picture, items)
            timed("encode", writer.write, painted, item.time)
            frames += 1
        timed("encode", writer.close)
        title = f"CPU time per frame, {source.width}x{source.height}, every frame judged by {model.spec.name}"
    engine.close()
    table = Table(title=f"{title} on {engine.name} ({engine.precision})", title_justify="left")
    table.add_column("stage")
    table.add_column("ms", justify="right")
    table.add_column("share", justify="right")
    total = sum(spent.values())
    for stage in STAGES:
        table.add_row(stage, f"{spent[stage] / frames * 1e3:.2f}", f"{spent[stage] / total:.0%}")
    table.add_row("all", f"{total / frames * 1e3:.2f}", "100%", style="bold")
    judging = total - spent["overlay"] - spent["encode"]
    every = finder.detect_every
    table.caption = f"without overlay and encode {judging / frames * 1e3:.2f} ms; a detection every {every} frames"
    return table


class _Timed:
    """A face detector whose CPU time is counted."""

    def __init__(self, detector: FaceDetector, spent: defaultdict[str, float]) -> None:
        self._detector, self._spent = detector, spent

    def detect(self, picture: Picture) -> Detections:
        """Detect with the detector inside, and count its time."""
        start = time.process_time()
        found = self._detector.detect(picture)
        self._spent["detect"] += time.process_time() - start
        return found


async def _throughput(path: Path, model: LoadedModel, chosen: str | None) -> int:
    """The file through the whole pipeline, every frame judged, as fast as it goes."""
    from streamguard.inference import select
    from streamguard.pipeline.guard import Guard
    from streamguard.types import Event

    engine = await asyncio.to_thread(lambda: select(model, chosen).engine)
    frames, last, start = 0, 0.0, time.perf_counter()
    async with Guard(model, engine) as guard, aclosing(guard.watch(str(path))) as items:
        async for item in items:
            if not isinstance(item, Event):
                frames, last = frames + 1, item.frame.time
    spent = time.perf_counter() - start
    faster = last / spent
    console.print(
        f"whole pipeline: {frames / spent:.1f} frames/s with every frame judged, {faster:.2f}x real time; "
        f"{int(faster)} such stream(s) sustained, {int(frames / spent / 5)} at 5 judged frames/s each by throughput"
    )
    return 0

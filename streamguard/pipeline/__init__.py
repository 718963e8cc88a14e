"""Wiring of one stream, and the guard that judges many streams with one engine.

A frame's walk through `serve`:

1. `media` decodes it on a thread (WHIP and WHEP: aiortc does) and asks `sampling.Demand` whether anybody needs it.
2. `sampling.Sampled` shows it to viewers and outputs; the newest one that is due waits for the stream's `Turn`.
3. `stream.StreamPipeline` has faces found, tracked, checked and cut out on a thread; `inference.Batcher` judges crops.
4. `verdict.FrameRule` turns each mask into a verdict, `verdict.StreamVote` the last seconds' verdicts into a state.
5. `streams.LiveStream` hands the report to painters, outputs and readers; `StreamEvents` stores and sends the events.

`watch` does the same up to the fourth step. So does `scan`, which drops nothing: the decoder waits for the judge.
"""

from __future__ import annotations

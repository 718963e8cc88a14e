"""`streamguard evaluate`: measure a detector on labelled clips."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from streamguard.cli.evaluation import Job, Judge, Material, OnnxOptions
from streamguard.cli.runner import check_writable, run


def evaluate(
    pairs: Annotated[
        Path | None, typer.Option(help="Folder of side-by-side clips: left half real, right half fake.")
    ] = None,
    real: Annotated[Path | None, typer.Option(help="Folder of real clips.")] = None,
    fake: Annotated[Path | None, typer.Option(help="Folder of fake clips.")] = None,
    only: Annotated[str, typer.Option(help="Comma-separated persons (--pairs) or real clips (--real) to keep.")] = "",
    every: Annotated[int, typer.Option(min=1, help="Judge every n-th frame.")] = 1,
    robustness: Annotated[
        str, typer.Option(metavar="LIST", help="Judge the clips as sent, too: `all`, or 250k,1M,360p,250k@360p,q50.")
    ] = "",
    gallery: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write the worst errors as pictures (they show faces).")
    ] = None,
    gate: Annotated[
        bool, typer.Option("--gate/--no-gate", help="Leave small and blurred faces unjudged, as live.")
    ] = True,
    json_out: Annotated[
        Path | None, typer.Option("--json", metavar="OUT", help="Write every figure and frame.")
    ] = None,
    html_out: Annotated[Path | None, typer.Option("--html", metavar="OUT", help="Write a report to read.")] = None,
    model: Annotated[str, typer.Option(help="Detector: a name, or the path of its folder.")] = "unet_lite0",
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    onnx: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Another network, in the detector's place; needs --layout.")
    ] = None,
    layout: Annotated[str, typer.Option(help="Its pictures: nchw|nhwc, rgb|bgr, 01|255, as in nchw-rgb-01.")] = "",
    mean: Annotated[str, typer.Option(help="Taken off its pictures, as in 0.485,0.456,0.406.")] = "",
    std: Annotated[str, typer.Option(help="Divides its pictures, as in 0.229,0.224,0.225.")] = "",
    output: Annotated[str, typer.Option(help="Its answer: logit, probability, mask, mask-logit.")] = "probability",
    fake_class: Annotated[int, typer.Option(min=0, max=1, help="Which of its two classes is fake.")] = 1,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Its probability above which it says fake.")] = 0.5,
    margin: Annotated[float, typer.Option(min=1, max=3, help="Its crop: times the face box's longer side.")] = 1.4,
) -> None:
    """Measure how well a detector does on labelled clips: AUC, recall, Dice, alerts and more, with intervals.

    A clip that cannot be read is named and left out; its exit code is returned once the others are reported.
    """
    if (pairs is None) == (real is None and fake is None) or (real is None) != (fake is None):
        raise typer.BadParameter("give either --pairs, or --real and --fake", param_hint="--pairs")
    if (onnx is None) != (not layout):
        raise typer.BadParameter("--onnx and --layout belong together", param_hint="--layout")
    for out in (json_out, html_out):
        if out is not None:
            check_writable(out)
    kept = tuple(name.strip() for name in only.split(",") if name.strip())
    network = None
    if onnx is not None:
        network = OnnxOptions(onnx, layout, mean, std, output, fake_class, threshold, margin)
    material = Material(pairs, real, fake, kept, every)
    job = Job(material, Judge(model, engine, gate, network), robustness, gallery, json_out, html_out)
    run(job.run)

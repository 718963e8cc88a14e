"""`streamguard join`: several detectors as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from streamguard.cli.runner import console


def join(
    detectors: Annotated[list[str], typer.Argument(help="Detectors of one network: names, or paths of their folders.")],
    name: Annotated[str, typer.Option(help="Name of the new detector.")],
    out: Annotated[Path, typer.Option(help="Folder of the new detector.")],
    packs: Annotated[
        Path, typer.Option(help="Folder of packs, whose held-out crops give threshold and calibration.")
    ] = Path("runs/packs"),
    weights: Annotated[
        str, typer.Option(help="Comma-separated: how much each one's answer counts, such as 2,1; default: the same.")
    ] = "",
) -> None:
    """Make one detector of several that were trained on different fakes: their answers are averaged.

    Threshold, calibration and blur limit are chosen anew on the held-out faces of the packs.
    """
    from streamguard import models
    from streamguard.files import write_text
    from streamguard.models import networks
    from streamguard.training.pack import open_packs
    from streamguard.training.run import ship, threshold_facts

    try:
        shares = [float(weight) for weight in weights.split(",")] if weights else []
    except ValueError as error:
        raise typer.BadParameter("numbers with commas between them", param_hint="--weights") from error
    loaded = [models.load(detector) for detector in detectors]
    whole = networks.join(loaded, shares)
    description = f"{loaded[0].spec.architecture}: fake pixels of a face; {len(loaded)} networks, answers averaged"
    with console.status("judging held-out faces"):
        outcome = ship(whole, name, description, open_packs(packs / "validation"), out)
    members = [{"name": each.spec.name, "weights_sha256": each.spec.weights_sha256} for each in loaded]
    facts = {"members": members, "weights": shares or [1.0] * len(loaded), **threshold_facts(outcome)}
    write_text(out / "training.json", json.dumps(facts, indent=2) + "\n")
    console.print(
        f"{name} written to {out}: pixel threshold {outcome.spec.threshold:g}, "
        f"unsure from {outcome.spec.unsure_threshold:g}, frame AUC on held-out faces {outcome.held_out_auc:.3f}",
        highlight=False,
        soft_wrap=True,
    )

"""`streamguard manifest` and `streamguard pack`: from folders of pictures and clips to what training reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import Progress, TaskID
from rich.table import Table

from streamguard.cli.progress import counted_progress
from streamguard.cli.runner import console, notes

if TYPE_CHECKING:
    from streamguard.training.manifest import ManifestRow

Manifest = Annotated[Path, typer.Argument(help="Tab-separated manifest, as `streamguard manifest` writes it.")]
Root = Annotated[Path, typer.Option("--data", help="Data root that the manifest's files are relative to.")]


def manifest(
    collections: Annotated[Path, typer.Argument(help="TOML that names the folders, such as engines/collections.toml.")],
    data: Annotated[Path, typer.Option(help="Data root that its folders are relative to.")],
    out: Annotated[Path, typer.Option(help="The manifest to write.")] = Path("manifest.tsv"),
) -> None:
    """List pictures and clips with label, partner, group, set, program and split: what all else reads."""
    from streamguard.training.conventions import collect, read_collections
    from streamguard.training.manifest import write_manifest

    with console.status("listing"):
        rows = collect(read_collections(collections), data, _skipped)
    write_manifest(out, rows)
    console.print(_counts(rows))
    console.print(f"{len(rows)} rows written to {out}", markup=False, highlight=False, soft_wrap=True)


def pack(
    manifest: Manifest,
    data: Root,
    out: Annotated[Path, typer.Option(help="Folder of packs: one for each set and side.")] = Path("runs/packs"),
    sets: Annotated[str, typer.Option(help="Comma-separated sets; default: all.")] = "",
    twins: Annotated[int, typer.Option(min=0, help="Real faces to be rendered again by TAEF2 as well.")] = 0,
    renderer: Annotated[Path | None, typer.Option(help="Folder of TAEF2's weights, for --twins.")] = None,
) -> None:
    """Cut the faces of a manifest into packs, with the mask truth of registered pairs. Finished packs are kept."""
    from streamguard.errors import DataError
    from streamguard.training.manifest import SPLITS, read_manifest
    from streamguard.training.packing import Skips, make_packs
    from streamguard.training.twins import make_twins

    if twins and renderer is None:
        raise typer.BadParameter("give --renderer", param_hint="--twins")
    rows = read_manifest(manifest)
    wanted = {name for name in sets.split(",") if name} or {row.set for row in rows}
    if unknown := wanted - {row.set for row in rows}:
        raise typer.BadParameter(f"not in the manifest: {', '.join(sorted(unknown))}", param_hint="--sets")
    skips = Skips(_skipped, Counter())
    table, usable = Table("pack", "faces", box=None), False
    with counted_progress() as progress:
        for split in SPLITS:
            chosen = [row for row in rows if row.split == split and row.set in wanted]
            for name, count in make_packs(chosen, data, out / split, skips, _bars(progress, split)):
                table.add_row(f"{split}/{name}", str(count) if count is not None else "kept")
                usable |= count != 0
        if twins and renderer is not None:
            count = make_twins(out / "train", renderer, twins, _bars(progress, "train"))
            table.add_row("train/twins", str(count) if count is not None else "kept")
    for reason, number in skips.counts.most_common():
        notes.print(f"passed over {number}: {reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(table)
    if not usable:
        raise DataError(str(manifest), "not one usable face was found", "check the manifest and its data root")


def thin(
    packs: Annotated[Path, typer.Argument(help="Folder of packs, as `streamguard pack` makes it.")],
    out: Annotated[Path, typer.Option(help="Where the smaller packs go.")],
    megabytes: Annotated[float, typer.Option(min=1, help="What all of them may take together.")] = 60.0,
) -> None:
    """Take an even share of every pack, small enough to carry to another machine."""
    from streamguard.training.manifest import SPLITS
    from streamguard.training.pack import open_packs, thinned, write_crop_pack

    # The index is compressed by nobody: a tenth is kept for it.
    room = megabytes * 1e6 * 0.9
    both = {split: open_packs(packs / split) for split in SPLITS}
    share = min(1.0, room / sum(pack.size for found in both.values() for pack in found))
    table = Table("pack", "faces", box=None)
    for split, found in both.items():
        for pack in found:
            name = str(pack.set[0])
            table.add_row(f"{split}/{name}", str(write_crop_pack(out / split / name, thinned(pack, share))))
    console.print(table)


def _bars(progress: Progress, split: str) -> Callable[[str, int, int], None]:
    tasks: dict[str, TaskID] = {}

    def advance(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = progress.add_task(f"{split}/{name}", total=total)
        progress.update(tasks[name], completed=done)

    return advance


def _skipped(sentence: str) -> None:
    notes.print(f"skipped {sentence}", markup=False, highlight=False, soft_wrap=True)


def _counts(rows: list[ManifestRow]) -> Table:
    table = Table("set", "split", "real", "fake", "registered", "groups", box=None)
    for name in sorted({row.set for row in rows}):
        for split in ("train", "validation"):
            part = [row for row in rows if row.set == name and row.split == split]
            if part:
                reals = sum(row.label == "real" for row in part)
                registered = sum(bool(row.partner) for row in part)
                groups = len({row.group for row in part})
                table.add_row(name, split, *map(str, (reals, len(part) - reals, registered, groups)))
    return table

"""``kshot data``: may these labels be used, and in which units are they?"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kshot.cli.options import Charge, Force, Spin, tell
from kshot.core.errors import OptionError

if TYPE_CHECKING:
    from kshot.atoms.data_report import DataReport, Finding
    from kshot.atoms.reading import Frame, Keys, Reading
    from kshot.atoms.spin import Stated

app = typer.Typer(
    help="Labelled data: check a file before anything is learned from it, convert it.",
    no_args_is_help=True,
)
REFUSED = 1
PICTURES = (".png", ".pdf", ".svg")
SHOWN = 5  # findings of one kind, unless all are asked for
SECONDS_BETWEEN_LINES = 5.0

File = Annotated[Path, typer.Argument(help="extxyz, ASE .db, HDF5 (SPICE, ANI-1x, QM7-X) or npz.")]
KeysOption = Annotated[
    str,
    typer.Option("--keys", help="Where the labels are: REF, bare, or ENERGY,FORCES by name."),
]
EnergyUnit = Annotated[
    str | None, typer.Option(help="eV, meV, Hartree, kcal/mol or kJ/mol; eV if not stated.")
]
ForceUnit = Annotated[
    str | None, typer.Option(help="Such as Hartree/Bohr; -Hartree/Bohr if they are gradients.")
]
LengthUnit = Annotated[str | None, typer.Option(help="Å, Bohr or nm.")]
SpinMeans = Annotated[
    str | None, typer.Option(help="What spin means in the file: multiplicity or unpaired.")
]


@app.command()
def check(
    file: File,
    keys: KeysOption = "",
    energy_unit: EnergyUnit = None,
    force_unit: ForceUnit = None,
    length_unit: LengthUnit = None,
    spin_means: SpinMeans = None,
    charge: Charge = None,
    spin: Spin = None,
    reference: Annotated[
        str, typer.Option(help="An engine, such as gfn2, to compare six frames' forces with.")
    ] = "",
    e0s: Annotated[Path | None, typer.Option(help='E0s as JSON: {"H": -13.6, …}, in eV.')] = None,
    tolerance: Annotated[float, typer.Option(help="Å; what is nearer is a duplicate.")] = 0.005,
    plot: Annotated[Path | None, typer.Option(help="Draw a figure into this file.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Show every finding.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    force: Force = False,
) -> None:
    """Look for wrong keys, units and signs, broken geometries, duplicates and outliers.

    Exit status 1, and a message naming file and frame, if the data must not be used as they are.
    """
    from kshot.atoms.data_report import report
    from kshot.atoms.files import scan
    from kshot.atoms.spin import Stated
    from kshot.core.outputs import claim_outputs

    if plot is not None:
        if plot.suffix.lower() not in PICTURES:
            raise OptionError(f"--plot with one of {', '.join(PICTURES)}", plot.name, "Rename it.")
        claim_outputs([plot], inputs=[file], force=force)
    reading = _reading(keys, energy_unit, force_unit, length_unit, spin_means, Stated(charge, spin))
    frames = _counted(scan(file, reading), file)
    found = report(file, frames, _labeler(reference), _read_e0s(e0s), tolerance)
    if plot is not None:
        from kshot.atoms.data_plot import plot_report

        plot_report(found, plot)
    if as_json:
        typer.echo(json.dumps(_record(found), indent=1))
    else:
        _show(found, every)
    if found.refused:
        raise typer.Exit(REFUSED)


@app.command()
def convert(
    file: File,
    out: Annotated[Path, typer.Option("--out", "-o", help=".extxyz, .db or .h5 (SPICE's).")],
    keys: KeysOption = "",
    energy_unit: EnergyUnit = None,
    force_unit: ForceUnit = None,
    length_unit: LengthUnit = None,
    spin_means: SpinMeans = None,
    charge: Charge = None,
    spin: Spin = None,
    force: Force = False,
) -> None:
    """Write labelled frames anew: in eV and Å, with the field's keys."""
    from kshot.atoms.files import scan, write
    from kshot.atoms.species import Tally
    from kshot.atoms.spin import Stated
    from kshot.core.outputs import claim_outputs

    claim_outputs([out], inputs=[file], force=force)
    reading = _reading(keys, energy_unit, force_unit, length_unit, spin_means, Stated(charge, spin))
    tally = Tally()
    frames = _counted(tally.watch(scan(file, reading)), file)
    try:
        count = write(out, (frame.require_labelled() for frame in frames))
    finally:
        tell(tally.lines())
    typer.echo(f"{count} frames written to {out}")


def _reading(
    keys: str,
    energy: str | None,
    force: str | None,
    length: str | None,
    spin_means: str | None,
    stated: Stated,
) -> Reading:
    from kshot.atoms.reading import Reading

    if spin_means not in {None, "multiplicity", "unpaired"}:
        got = repr(spin_means)
        raise OptionError("--spin-means multiplicity or unpaired", got, "State one of them.")
    meaning: Any = spin_means  # checked just above
    return Reading(_keys(keys), energy, force, length, meaning, stated)


def _keys(text: str) -> Keys | None:
    from kshot.atoms.reading import BARE, REF, Keys

    known = {"": None, "ref": REF, "bare": BARE}
    if text.lower() in known:
        return known[text.lower()]
    names = text.split(",")
    if len(names) not in {2, 3} or not all(names):
        raise OptionError("--keys REF, bare or ENERGY,FORCES", repr(text), "Name both.")
    return Keys(*names)


def _labeler(name: str) -> Any:  # noqa: ANN401 - a Labeler, or None
    if not name:
        return None
    from kshot.labelers import labeler

    return labeler(name)


def _read_e0s(path: Path | None) -> Any:  # noqa: ANN401 - E0s, or None
    from kshot.atoms.e0s import E0s, e0s_from_dictionary
    from kshot.core.errors import DataError

    if path is None:
        return None
    try:
        text = path.read_text(encoding="utf-8")
        read = json.loads(text)
    except (OSError, ValueError) as error:
        raise DataError("a file of E0s", f"{path}: {error}", "Check its name.") from error
    if isinstance(read, dict) and "energies" not in read:
        return e0s_from_dictionary(read)
    return E0s.from_json(text)


def _counted(frames: Iterator[Frame], file: Path) -> Iterator[Frame]:
    """Say at once what is read, and how far, now and then: nobody knows how many there are."""
    typer.echo(f"reading {file}", err=True)
    last = time.monotonic()
    for count, frame in enumerate(frames):
        if time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            typer.echo(f"{count} frames", err=True)
        yield frame


def _show(found: DataReport, every: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(soft_wrap=True, highlight=False)
    table = Table(title=str(found.path), show_header=False, title_justify="left")
    for name, words in found.summary().items():
        table.add_row(name, str(words))
    for one in found.units:
        table.add_row(f"test of {one.test}", f"{one.verdict}: {one.words}")
    console.print(table, markup=False)
    kinds = Counter((finding.refuse, finding.kind) for finding in found.findings)
    for (refuse, kind), count in kinds.items():
        some = [f for f in found.findings if (f.refuse, f.kind) == (refuse, kind)]
        shown = some if every else some[:SHOWN]
        for finding in shown:
            console.print(_line(finding), markup=False, style="red" if refuse else None)
        if count > len(shown):
            console.print(f"… and {count - len(shown)} more of {kind} (--all)", markup=False)
    verdict = "nothing forbids their use"
    if found.refused:
        verdict = f"must not be used as they are: {'; '.join(found.remedies())}"
    console.print(f"{found.path}: {verdict}", style="bold red" if found.refused else "bold")


def _line(finding: Finding) -> str:
    return f"{'REFUSED' if finding.refuse else 'note'}  {finding.where}: {finding.words}"


def _record(found: DataReport) -> dict[str, Any]:
    units = [asdict(one) for one in found.units]
    for one in units:  # JSON has no NaN
        one["slope"] = None if one["slope"] != one["slope"] else one["slope"]
    return {
        "file": str(found.path),
        "refused": found.refused,
        "summary": found.summary(),
        "units": units,
        "remedies": found.remedies(),
        "findings": [finding._asdict() for finding in found.findings],
    }

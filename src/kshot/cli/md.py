"""``kshot md``: dynamics with a model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kshot.cli.options import Charge, Force, Spin, reading, tell

if TYPE_CHECKING:
    from kshot.atoms import Structure
    from kshot.md.run import Summary


def md(
    model: Annotated[str, typer.Argument(help="A .kshot file, or the name of a start.")],
    structure: Annotated[Path, typer.Argument(help="Where it begins: xyz, extxyz or db.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The trajectory, extended XYZ.")],
    ensemble: Annotated[
        Literal["nve", "nvt"], typer.Option(help="nvt: Langevin; nve: velocity Verlet.")
    ] = "nvt",
    steps: Annotated[int, typer.Option(help="In all; more of them go on with a run.")] = 20_000,
    timestep: Annotated[float, typer.Option(help="In fs.")] = 0.5,
    temperature: Annotated[float, typer.Option(help="In K.")] = 300.0,
    friction: Annotated[float, typer.Option(help="Of nvt, in 1/ps.")] = 10.0,
    every: Annotated[int, typer.Option(help="Steps between two frames.")] = 20,
    frame: Annotated[int, typer.Option(help="Of the file, from 0; -1 is the last.")] = 0,
    seed: Annotated[int, typer.Option(help="Of velocities and thermostat.")] = 0,
    allow: Annotated[
        list[str] | None, typer.Option(help="elements, charges or multiplicities.")
    ] = None,
    charge: Charge = None,
    spin: Spin = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run molecular dynamics on an adapted file or a start.

    Writes the trajectory, a table of energies and temperatures (.csv) and a restart file
    (.restart.npz). A run that was killed goes on by the same command.
    """
    from kshot.core.cache import use_compile_cache
    from kshot.md import Settings, run
    from kshot.potentials.model_file import lineage, load
    from kshot.potentials.model_starts import start_path

    settings = Settings(ensemble, steps, timestep, temperature, friction, every, seed)
    use_compile_cache()
    path = start_path(model)
    begin = _frame(structure, frame, charge, spin)
    _keep_inputs(output, (structure, *lineage(path)))
    loaded = load(path)
    loaded.refuse(begin, allow=allow or ())
    summary = run(
        begin,
        loaded.calculator(allow=allow or ()),
        settings,
        output,
        model=loaded.digest,
        force=force,
        say=lambda line: tell([line]),
    )
    if as_json:
        typer.echo(json.dumps(summary._asdict(), indent=1))
        return
    _print(summary, output)


def _frame(path: Path, number: int, charge: int | None, spin: int | None) -> Structure:
    """Return one structure of a file, and say which it is."""
    from kshot.atoms.check import require_sound
    from kshot.atoms.files import scan
    from kshot.atoms.species import Tally
    from kshot.core.errors import DataError

    frames = list(scan(path, reading(charge, spin)))
    if not -len(frames) <= number < len(frames):
        todo = "Frames are counted from 0."
        raise DataError(f"a frame {number} in {path}", f"{len(frames)} frames", todo)
    tally = Tally()
    [chosen] = tally.watch([frames[number]])
    structure = chosen.require_structure()
    tell(tally.lines())
    require_sound(structure, where=chosen.where)
    return structure


def _keep_inputs(output: Path, inputs: tuple[Path, ...]) -> None:
    """Refuse to write onto what is read; files of a run that goes on may be there."""
    from kshot.core.outputs import claim_outputs
    from kshot.md.files import Files

    files = Files(output)
    claim_outputs((*files.appended.values(), files.restart), inputs=inputs, force=True)


def _print(summary: Summary, output: Path) -> None:
    lines = [f"{summary.steps} steps, {summary.frames} frames in {output}"]
    if summary.steps_per_second is not None:
        speed = f"{summary.steps_per_second:.0f} steps/s, {summary.ns_per_day:.3g} ns/day"
        lines.append(speed)
    lines.append(f"mean temperature {summary.temperature_mean_K:.0f} K")
    if summary.nve_drift_meV_per_atom_per_ps is not None:
        drift = summary.nve_drift_meV_per_atom_per_ps
        lines.append(f"drift of the total energy {drift:+.3g} meV per atom and ps")
    if summary.broken_bonds:
        lines.append(f"warning: up to {summary.broken_bonds} bonds of the beginning are broken")
    for line in lines:
        typer.echo(line)

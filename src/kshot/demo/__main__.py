"""The main job, end to end: labels, adaptation, baselines, a test on its own dynamics, a report.

python -m kshot.demo [--family uracil] [--budget 30] [--out out/demo]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from kshot.core.cache import use_compile_cache

console = Console()
FEMTOSECONDS = 1000.0
STEP = 0.5  # fs
KELVIN = 300.0
TEST_FRAMES = 20


class Trace(NamedTuple):
    """What dynamics went through.

    Args:
        time: in fs.
        energy: potential energy less that of the first frame, in eV.
        temperature: in K.
        positions: in Å, of frames evenly spaced.
    """

    time: list[float]
    energy: list[float]
    temperature: list[float]
    positions: list[np.ndarray]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--family", default="uracil", help="see `kshot families list`")
    parser.add_argument("--budget", type=int, default=30, help="labels to pay for")
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    options = parser.parse_args(argv)
    begun = time.perf_counter()
    console.print(f"[bold]{options.family}[/bold]: a family that the start has never seen")
    use_compile_cache()
    options.out.mkdir(parents=True, exist_ok=True)
    run(options.family, options.budget, options.out)
    console.print(f"{time.perf_counter() - begun:.0f} s")


def run(family: str, budget: int, out: Path) -> None:
    """Adapt, test, move, report."""
    from kshot.atoms.files import write
    from kshot.families import find_family, load_catalogue
    from kshot.pipeline.adapt import adapt_file
    from kshot.pipeline.page import page_record
    from kshot.pipeline.request import Request
    from kshot.report import write as write_page

    structure = find_family(family, load_catalogue()).members[0].structure
    given = out / f"{family}.extxyz"
    write(given, [structure])
    adapted_file = out / f"{family}.kshot"
    console.print(f"paying for {budget} GFN2-xTB labels, and adapting the start `bio-small`")
    request = Request("bio-small", given, adapted_file, budget=budget, engine="gfn2", force=True)
    done = adapt_file(request)
    chosen = done.adapted.chosen
    console.print(
        f"chosen inside the {budget} labels: [bold]{chosen.method.name}[/bold]"
        f"{' (a plain baseline)' if chosen.method.baseline else ''}"
    )
    console.print(f"a picosecond of dynamics at {KELVIN:g} K with the adapted potential")
    trace = dynamics(done.adapted.model, structure)
    page = page_record(done)
    page["md"] = {
        "time_fs": trace.time,
        "energy_eV": trace.energy,
        "temperature_K": trace.temperature,
    }
    page["parity"] = judge(done, structure, trace, out)
    report = out / "report.html"
    write_page(report, page)
    console.print(f"report: {report.resolve()}")


def dynamics(model: Any, structure: Any) -> Trace:  # noqa: ANN401 - types would import JAX at once
    """Run a picosecond of Langevin dynamics on a model."""
    from ase import units
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import thermalize_momenta

    from kshot.atoms.asedb import to_ase
    from kshot.core.bars import bar

    atoms = to_ase(structure)
    atoms.calc = model.calculator()
    rng = np.random.default_rng(0)
    thermalize_momenta(atoms, temperature_K=KELVIN, rng=rng)
    friction = 0.02 / units.fs
    move = Langevin(
        atoms, STEP * units.fs, temperature_K=KELVIN, friction=friction, fixcm=False, rng=rng
    )
    steps, every = int(FEMTOSECONDS / STEP), 20
    first = atoms.get_potential_energy()
    trace = Trace([], [], [], [])
    with bar("dynamics", steps) as advance:
        for done in range(every, steps + 1, every):
            move.run(every)
            trace.time.append(done * STEP)
            trace.energy.append(float(atoms.get_potential_energy() - first))
            trace.temperature.append(float(atoms.get_temperature()))
            trace.positions.append(atoms.get_positions())
            advance(every, f"{trace.temperature[-1]:.0f} K")
    return trace


def judge(done: Any, structure: Any, trace: Trace, out: Path) -> dict[str, Any]:  # noqa: ANN401
    """Label frames of the dynamics, which nothing was adapted on, and compare with the start."""
    from rich.table import Table

    from kshot.labelers import Ledger, label_all, labeler
    from kshot.pipeline.evaluate import compare
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    places = np.linspace(len(trace.positions) // 4, len(trace.positions) - 1, TEST_FRAMES)
    frames = [structure.replace(positions=trace.positions[int(i)]) for i in places]
    with Ledger(out / "test.ledger") as ledger:
        labels = label_all(frames, labeler("gfn2"), ledger)
    models = {"kshot": done.adapted.model, "start": load(start_path("bio-small"))}
    found = compare(models, frames, labels)
    table = Table("", "energy meV", "forces meV/Å", title=f"{len(frames)} frames of its dynamics")
    for name, errors in found.errors.items():
        table.add_row(name, f"{1e3 * errors.energy:.1f}", f"{1e3 * errors.forces:.0f}")
    console.print(table)
    return found.parity


if __name__ == "__main__":
    main()

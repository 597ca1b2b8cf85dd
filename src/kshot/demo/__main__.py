"""The main job, end to end: labels, adaptation, a test on frames of the engine's own, dynamics.

python -m kshot.demo [--family uracil] [--budget 30] [--out out/demo]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
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
SEED = 1  # of the test trajectory; the labels are drawn with another one


class Trace(NamedTuple):
    """What dynamics went through.

    Args:
        time: in fs.
        energy: potential energy less that of the first frame, in eV.
        temperature: in K.
    """

    time: list[float]
    energy: list[float]
    temperature: list[float]


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--family", default="uracil", help="see `kshot families list`")
    parser.add_argument("--budget", type=int, default=30, help="labels to pay for")
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    options = parser.parse_args(argv)
    begun = time.perf_counter()
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
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path
    from kshot.report import write as write_page

    structure = find_family(family, load_catalogue()).members[0].structure
    start = load(start_path("bio-small"))
    console.print(f"[bold]{family}[/bold]: {standing(start.record, family)}")
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
    page = page_record(done)
    page["parity"] = judge(done, start, structure, out)
    console.print(f"a picosecond of dynamics at {KELVIN:g} K with the adapted potential")
    trace = dynamics(done.adapted.model, structure)
    page["md"] = {
        "time_fs": trace.time,
        "energy_eV": trace.energy,
        "temperature_K": trace.temperature,
    }
    report = out / "report.html"
    write_page(report, page)
    console.print(f"report: {report.resolve()}")


def standing(record: Mapping[str, Any], family: str) -> str:
    """Say what the start, by its own record, has to do with a family."""
    lists = record.get("config", {}).get("families", {})
    if family in record.get("families", ()):
        return "the start was trained on this family: its errors flatter"
    if family in lists.get("validation", ()):
        return "the start was not trained on this family, but its prior was learned on it"
    if family in (*lists.get("held_out", ()), *lists.get("relatives", ())):
        return "held out when the start was trained; families alike may have been in training"
    return "the start's record does not name this family"


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
    trace = Trace([], [], [])
    with bar("dynamics", steps) as advance:
        for done in range(every, steps + 1, every):
            move.run(every)
            trace.time.append(done * STEP)
            trace.energy.append(float(atoms.get_potential_energy() - first))
            trace.temperature.append(float(atoms.get_temperature()))
            advance(every, f"{trace.temperature[-1]:.0f} K")
    return trace


def judge(done: Any, start: Any, structure: Any, out: Path) -> dict[str, Any]:  # noqa: ANN401
    """Compare with the start on a trajectory of the engine: nothing is fitted to these frames."""
    from rich.table import Table

    from kshot.atoms import Failure, Labelled
    from kshot.families.samplers import samplers
    from kshot.fewshot.adapt import adapt
    from kshot.labelers import Ledger, label_all, labeler
    from kshot.pipeline.evaluate import compare

    engine = labeler("gfn2")
    console.print(f"{TEST_FRAMES} test frames: a trajectory of GFN2-xTB itself at {KELVIN:g} K")
    frames = samplers.get("langevin")(
        structure, engine, TEST_FRAMES, temperature=KELVIN, seed=SEED, trajectories=1
    )
    if isinstance(frames, Failure):
        console.print(f"no test: {frames.detail}")
        return {}
    with Ledger(out / "test.ledger") as ledger:
        labels = label_all(frames, engine, ledger)
    test = [
        Labelled(frame, label)
        for frame, label in zip(frames, labels, strict=True)
        if not isinstance(label, Failure)
    ]
    shifted = adapt(start, done.labelled, methods=("shift",), keep=0.0).model
    comparison = compare({"kshot": done.adapted.model, "start + shift": shifted}, test)
    table = Table("", "energy meV", "forces meV/Å", title=f"RMSE on {len(test)} test frames")
    for name, errors in comparison.errors.items():
        table.add_row(name, f"{1e3 * errors.energy:.1f}", f"{1e3 * errors.forces:.0f}")
    console.print(table)
    return comparison.parity


if __name__ == "__main__":
    main()

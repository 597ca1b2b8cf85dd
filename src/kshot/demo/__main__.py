"""The main job, end to end: labels, adaptation, a test on frames of another trajectory, dynamics.

python -m kshot.demo                   # ten labels of DFT, SO3LR adapted: minutes
python -m kshot.demo --engine gfn2     # thirty labels of GFN2-xTB, bio-small adapted
python -m kshot.demo [--family NAME] [--budget K] [--out out/demo]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from kshot.core.cache import use_compile_cache
from kshot.demo.plan import PLANS, Plan, standing, with_start
from kshot.md import Settings

if TYPE_CHECKING:
    from kshot.pipeline.evaluate import Comparison

console = Console()
KELVIN = 300.0
PICOSECOND = Settings(steps=2000, timestep=0.5, temperature=KELVIN, friction=20.0)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the demo from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--engine", choices=[*PLANS], default="dft", help="what labels")
    parser.add_argument("--family", help="see `kshot families list`")
    parser.add_argument("--budget", type=int, help="labels to pay for")
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    options = parser.parse_args(argv)
    plan = PLANS[options.engine]
    plan = plan._replace(family=options.family or plan.family, budget=options.budget or plan.budget)
    begun = time.perf_counter()
    use_compile_cache()
    options.out.mkdir(parents=True, exist_ok=True)
    run(with_start(plan, console.print), options.out)
    console.print(f"{time.perf_counter() - begun:.0f} s")


def run(plan: Plan, out: Path) -> None:
    """Adapt, test, move, report."""
    from kshot.atoms.files import write
    from kshot.demo.trial import comparison, test_frames
    from kshot.families import find_family, load_catalogue
    from kshot.md import run as run_dynamics
    from kshot.md.files import Files
    from kshot.pipeline.adapt import adapt_file
    from kshot.pipeline.levels import levels_sentence
    from kshot.pipeline.page import page_record, sentence
    from kshot.pipeline.request import Request
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path
    from kshot.report import write as write_page

    structure = find_family(plan.family, load_catalogue()).members[0].structure
    start = load(start_path(plan.start))
    console.print(f"[bold]{plan.family}[/bold]: {standing(start.record, plan.family)}")
    given = out / f"{plan.family}.extxyz"
    write(given, [structure])
    console.print(f"paying for {plan.budget} labels, and adapting the start `{plan.start}`")
    adapted_file = out / f"{plan.family}.kshot"
    request = Request(
        plan.start, given, adapted_file, budget=plan.budget, engine=plan.engine, force=True
    )
    done = adapt_file(request, say=console.print)
    console.print(sentence(done.record))
    console.print(levels_sentence(done.record))
    page = page_record(done)
    ledger = out / f"{plan.family}.test.ledger"
    if test := test_frames(plan, structure, KELVIN, ledger, console.print):
        compared = comparison(done, start, test)
        console.print(table(compared, len(test)))
        page["parity"] = compared.parity
    console.print(f"a picosecond of dynamics at {KELVIN:g} K with the adapted potential")
    trajectory = out / f"{plan.family}.md.extxyz"
    calculator = done.adapted.model.calculator()
    summary = run_dynamics(structure, calculator, PICOSECOND, trajectory, force=True)
    console.print(f"{summary.steps_per_second:.0f} steps/s; {summary.broken_bonds} bonds broken")
    _, time_fs, energy, _, temperature, _ = Files(trajectory).rows().T
    page["md"] = {
        "time_fs": time_fs.tolist(),
        "energy_eV": (energy - energy[0]).tolist(),
        "temperature_K": temperature.tolist(),
    }
    report = out / "report.html"
    write_page(report, page)
    console.print(f"report: {report.resolve()}")


def table(compared: Comparison, frames: int) -> Table:
    """Return errors on the test frames as a table."""
    out = Table("", "energy meV", "forces meV/Å", title=f"RMSE on {frames} test frames")
    for name, errors in compared.errors.items():
        out.add_row(name, f"{1e3 * errors.energy:.1f}", f"{1e3 * errors.forces:.0f}")
    return out


if __name__ == "__main__":
    main()

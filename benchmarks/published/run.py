"""Every contestant on published DFT and coupled-cluster labels; run again, it goes on.

    python benchmarks/published/run.py FOLDER [--sets acac 3bpa ethanol aspirin] [--only closed]
    python benchmarks/published/run.py FOLDER --start so3lr --only closed gfn2

FOLDER has the published files, which are not part of kshot: README.md says where they are from, and
how they are split. Writes a file per contestant and set into ``START/results/``, then
``results.md`` and ``results.png`` beside it. Closed forms and GFN2 take minutes a draw; fine-tuning
and scratch, at K = 20 and in three draws, hours.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).parent
KINDS = ("closed", "gfn2", "fine-tune", "scratch")
SHOTS, DRAWS = (5, 10, 20, 50), 5


def main() -> None:
    """Read the folder, run what has no result yet, and write the tables."""
    options = parsed()
    sys.path.insert(0, str(HERE.parent / "fewshot"))
    from contestants import fine_tune, scratch
    from sets import SETS, published_pool
    from tuned import FINE_TUNE, SCRATCH, recipe_of

    from kshot.core.cache import use_compile_cache
    from kshot.pipeline.study import Setting, run_study
    from kshot.pipeline.study.beside import beside
    from kshot.pipeline.study.run import closed_job
    from kshot.pipeline.study.tables import write_tables
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    use_compile_cache()
    pools = [published_pool(name, options.folder) for name in options.sets]
    start, known = load(start_path(options.start)), Path(options.start).stem
    folder = HERE / known
    jobs = [
        closed_job(start),
        beside("gfn2", start, options.ledger),
        fine_tune(start, recipe_of(known, FINE_TUNE)),
        scratch(start, recipe_of(known, SCRATCH)),
    ]
    results = run_study(
        pools,
        Setting(SHOTS, options.draws),
        jobs,
        folder / "results",
        say,
        keep_old=options.keep_old,
        only=() if options.tables else options.only,
    )
    about = [
        f"By `python benchmarks/published/run.py FOLDER --start {options.start}`;",
        "[how, and from where](../README.md). Labels:",
        "; ".join(f"{name} {SETS[name].level}" for name in options.sets) + ".",
        "Scans have energies only: those are relative, each less the mean of its scan.",
    ]
    write_tables(results, folder, f"{options.start} on published labels", about)


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    from sets import SETS

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of the published files")
    parser.add_argument("--sets", nargs="*", choices=SETS, default=tuple(SETS))
    parser.add_argument("--start", default="bio-small")
    parser.add_argument("--only", nargs="*", choices=KINDS, default=None)
    parser.add_argument("--draws", type=int, default=DRAWS, help="choices of shots")
    parser.add_argument("--keep-old", action="store_true", help="recompute nothing that is old")
    parser.add_argument("--tables", action="store_true", help="run nothing, write the tables")
    parser.add_argument("--ledger", type=Path, default=Path(".cache/published/labels.ledger"))
    return parser.parse_args()


def say(line: str) -> None:
    """Print a line at once, also into a file."""
    print(line, flush=True)


if __name__ == "__main__":
    main()

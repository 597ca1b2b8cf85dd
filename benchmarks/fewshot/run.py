"""Error against K on families that nothing was trained or tuned on; run again, it goes on.

    python benchmarks/fewshot/run.py                     # the test families, every contestant
    python benchmarks/fewshot/run.py --only closed       # seconds to minutes per draw
    python benchmarks/fewshot/run.py --development       # families that choices were made on
    nice -n 19 python benchmarks/fewshot/run.py --workers 2 > run.log 2>&1 &

Frames are in ``frames/test`` and ``frames/development`` (see PROTOCOL.md). Writes one file per
contestant and family after each draw, then ``results.md``, ``results.png`` and, of the test
families, the start's card. Results whose frames, start, code or options have changed are set aside
and computed anew; ``--keep-old`` shows them under a heading of their own instead. Training from
scratch is a study of a model that has not been trained: its results outlive the start. mace-torch
has an environment of its own, which this makes:

    make -C benchmarks/potentials/meta_gradients setup
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kshot.pipeline.study import Study

HERE = Path(__file__).parent
SUFFIX = ".extxyz.xz"
KINDS = ("closed", "fine-tune", "scratch", "mace-torch")
SHOTS, TEST = (5, 10, 20, 50), 40
SHIPPED = "bio-small"
SHARE = ("--workers", "1", "--no-tables")
TORCH = HERE.parent / "potentials" / "meta_gradients" / ".venv" / "bin" / "python"


def main() -> None:
    """Run every draw that has no result yet, then write the tables."""
    options = parsed()
    from kshot.core.cache import use_compile_cache

    use_compile_cache()
    kind = "development" if options.development else "test"
    every = sorted(
        path.name.removesuffix(SUFFIX) for path in (HERE / "frames" / kind).glob(f"*{SUFFIX}")
    )
    asked = options.families or every
    if options.workers > 1:
        in_processes(asked, options.workers)
    else:
        study(kind, asked, options, only=() if options.tables else options.only)
    if not options.no_tables:
        write_all(kind, every, options)


def parsed() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, help="5; 3 of development families, which have less")
    parser.add_argument("--start", default=SHIPPED, help="its name, or a file")
    parser.add_argument("--families", nargs="*", default=None)
    parser.add_argument("--only", nargs="*", choices=KINDS, default=None)
    parser.add_argument("--development", action="store_true", help="not the test families")
    parser.add_argument("--keep-old", action="store_true", help="recompute nothing that is old")
    parser.add_argument("--tables", action="store_true", help="run nothing, write the tables")
    parser.add_argument("--no-tables", action="store_true", help="run, and write no tables")
    parser.add_argument("--workers", type=int, default=1, help="processes, each with families")
    parser.add_argument("--torch", type=Path, default=TORCH, help="Python with mace-torch")
    options = parser.parse_args()
    options.draws = options.draws or (3 if options.development else 5)
    return options


def in_processes(names: list[str], workers: int) -> None:
    """Run the families in processes of their own; tables are written when all are done."""
    running = [
        subprocess.Popen(  # of options that are there twice the last one counts
            [sys.executable, __file__, *sys.argv[1:], *SHARE, "--families", *part]
        )
        for part in (names[place::workers] for place in range(workers))
        if part
    ]
    for process in running:
        process.wait()


def study(
    kind: str, names: Sequence[str], options: argparse.Namespace, only: Sequence[str] | None
) -> Study:
    """Run what has no result yet, and return all rows of the families."""
    from contestants import fine_tune, scratch
    from mace_torch.job import mace_torch
    from tuned import FINE_TUNE, SCRATCH, recipe_of

    from kshot.atoms.files import read_labelled
    from kshot.pipeline.study import Setting, pool_of, run_study
    from kshot.pipeline.study.run import closed_job
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    start, known = load(start_path(options.start)), Path(options.start).stem
    paths = {name: HERE / "frames" / kind / f"{name}{SUFFIX}" for name in names}
    pools = [pool_of(name, list(read_labelled(path)), TEST) for name, path in paths.items()]
    jobs = [
        closed_job(start),
        fine_tune(start, recipe_of(known, FINE_TUNE)),
        scratch(start, recipe_of(known, SCRATCH)),
        mace_torch(start, options.torch),
    ]
    if only is None and not options.torch.exists():
        say(f"without mace-torch: there is no {options.torch}")
        only = KINDS[:-1]
    setting, folder = Setting(SHOTS, options.draws, TEST), out(kind, options.start) / "results"
    return run_study(pools, setting, jobs, folder, say, keep_old=options.keep_old, only=only)


def write_all(kind: str, names: Sequence[str], options: argparse.Namespace) -> None:
    """Write tables, figure and, of the test families, the start's card; nothing is run."""
    from kshot.pipeline.study.tables import write_tables

    results = study(kind, names, options, only=())
    title = f"Few-shot adaptation of {options.start} on {kind} families"
    command = "python benchmarks/fewshot/run.py" + ("" if kind == "test" else " --development")
    command += "" if options.start == SHIPPED else f" --start {options.start}"
    write_tables(results, out(kind, options.start), title, [f"By `{command}`."])
    if kind == "test" and results.rows:
        write_card(options.start, results.rows)


def out(kind: str, start: str) -> Path:
    """Return the folder of results and tables: another start than the shipped one has its own."""
    folder = HERE if kind == "test" else HERE / kind
    return folder if start == SHIPPED else folder / Path(start).stem


def say(line: str) -> None:
    """Print a line at once, also into a file."""
    print(line, flush=True)


def write_card(name: str, rows: list) -> None:
    """Write the card of a start with the rows that adapt it."""
    from kshot.pipeline.card import card
    from kshot.potentials.model_file import summary
    from kshot.potentials.model_starts import start_path

    path = start_path(name)
    path.with_suffix(".md").write_text(card(path.stem, summary(path), rows), encoding="utf-8")


if __name__ == "__main__":
    main()

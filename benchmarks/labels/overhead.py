"""What labelling costs besides the engine, and what asking again costs.

    OMP_NUM_THREADS=1 python benchmarks/labels/overhead.py --labels 10000

The engine's own time is what passes inside tblite's calls. Everything else is overhead: checks,
keys, claims, the ledger, forcing it to the disk; less what this clock itself takes, measured while
nothing else is done, which is when it takes least. On a busy machine the CPU figures are the ones
to read: wall time then also counts the others' work.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tblite import interface, library

from kshot.atoms import Structure
from kshot.labelers import Ledger, label_all, labeler

CALLS = ((interface.Calculator, ("__init__", "set", "add", "update", "singlepoint")),)

TRIALS = 20_000


class Clock:
    """Seconds inside the engine: wall and CPU."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0
        self.calls = 0

    def around(self, call: Callable) -> Callable:
        def timed(*args, **options):
            # A thread's clock: that of the process costs up to 50 µs, as much as what is measured.
            wall, cpu = time.perf_counter(), time.thread_time()
            try:
                return call(*args, **options)
            finally:
                self.wall += time.perf_counter() - wall
                self.cpu += time.thread_time() - cpu
                self.calls += 1

        return timed

    def own(self) -> float:
        """CPU seconds that the clock took and did not count as the engine's."""
        trial, began = Clock(), time.thread_time()
        nothing = trial.around(lambda: None)
        for _ in range(TRIALS):
            nothing()
        return self.calls * (time.thread_time() - began - trial.cpu) / TRIALS


def fragments(number: int) -> list[Structure]:
    """Small fragments of 10 to 13 atoms, each with its own noise."""
    from ase.build import molecule

    names = ("CH3CH2NH2", "C2H6SO", "HCOOCH3", "CH3CH2OCH3", "isobutane")
    rng, made = np.random.default_rng(0), []
    for n in range(number):
        atoms = molecule(names[n * len(names) // number])
        positions = atoms.positions + rng.normal(scale=0.04, size=(len(atoms), 3))
        odd = int(atoms.numbers.sum()) % 2
        made.append(Structure(atoms.numbers, positions, multiplicity=1 + odd))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the ledger goes: whose disk is measured")
    args = parser.parse_args()
    clock = Clock()
    for kind, names in CALLS:
        for name in names:
            setattr(kind, name, clock.around(getattr(kind, name)))
    interface.Result.get = clock.around(interface.Result.get)
    library._delete_result = clock.around(library._delete_result)  # frees memory
    engine, structures = labeler("gfn2"), fragments(args.labels)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder) / "ledger.db"
        with Ledger(path) as ledger:
            wall, cpu = time.perf_counter(), time.process_time()
            label_all(structures, engine, ledger)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        cpu -= clock.own()
        report = {
            "labels": args.labels,
            "engine ms per label (CPU)": 1e3 * clock.cpu / args.labels,
            "overhead µs per label (CPU)": 1e6 * (cpu - clock.cpu) / args.labels,
            "overhead % (CPU)": 100 * (cpu / clock.cpu - 1),
            "overhead % (wall)": 100 * (wall / clock.wall - 1),
        }
        fresh = [Structure(s.numbers, s.positions, 0, s.multiplicity) for s in structures]
        with Ledger(path) as ledger:
            wall, cpu = time.perf_counter(), time.process_time()
            label_all(fresh, engine, ledger)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        report |= {
            "again, per s (wall)": args.labels / wall,
            "again, per s (CPU)": args.labels / cpu,
        }
    print(json.dumps({name: round(value, 2) for name, value in report.items()}, indent=1))
    sound = report["overhead % (CPU)"] < 10 and report["again, per s (CPU)"] >= 20_000
    raise SystemExit(not sound)


if __name__ == "__main__":
    main()

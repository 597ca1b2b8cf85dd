"""What both sides of the speed comparison share: the molecule, the cutoff and the clock."""

import time
from collections.abc import Callable
from statistics import median

import ase
import ase.build

CUTOFF = 5.0  # Å
AVERAGE_NEIGHBOURS = 13.0
REPEATS = 30


def molecule() -> ase.Atoms:
    """Isobutane, 14 atoms, all within the cutoff of each other: 182 edges."""
    atoms = ase.build.molecule("isobutane")
    atoms.rattle(0.05, seed=0)
    return atoms


def cpu_milliseconds(call: Callable[[], object]) -> float:
    """The median processor time of a call, which neighbours on a busy machine hardly disturb."""
    call()
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        found.append(1e3 * (time.process_time() - start))
    return round(median(found), 2)

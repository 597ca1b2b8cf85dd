"""What both sides of the speed comparison share: the molecules and the clock."""

import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ase import Atoms
from ase.io import read

REPEATS = 30
MOLECULES = ("uracil", "caffeine", "phenylalanine-valine")  # of 12, 24 and 48 atoms


def molecules() -> list[Atoms]:
    every = read(Path(__file__).parent / "molecules.extxyz", index=":")
    every += read(Path(__file__).parent / "speed.extxyz", index=":")
    return [atoms for name in MOLECULES for atoms in every if atoms.info["name"] == name]


def cpu_milliseconds(call: Callable[[], object]) -> float:
    """The median processor time of a call, which neighbours on a busy machine hardly disturb."""
    call()
    found = []
    for _ in range(REPEATS):
        start = time.process_time()
        call()
        found.append(1e3 * (time.process_time() - start))
    return round(median(found), 2)

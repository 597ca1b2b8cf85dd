"""Which species a file holds, and where their charges and spins come from: told before any use."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64

from kshot.atoms.elements import symbol
from kshot.atoms.reading import Frame
from kshot.atoms.spin import Origin, Origins
from kshot.atoms.structure import Structure


class Species(NamedTuple):
    """A composition in one state of charge and spin.

    Args:
        formula: in Hill's order: carbon, hydrogen, then by letter.
        atoms: how many.
        charge: in elementary charges.
        multiplicity: 2S + 1.
        origins: who states them.
    """

    formula: str
    atoms: int
    charge: int
    multiplicity: int
    origins: Origins

    def __str__(self) -> str:
        """Return one line for people."""
        charge = _said("charge", f"{self.charge:+d}" if self.charge else "0", self.origins.charge)
        spin = _said("spin (2S + 1)", str(self.multiplicity), self.origins.spin)
        return f"{self.formula}: {self.atoms} atoms, {charge}, {spin}"


def _said(name: str, value: str, origin: Origin) -> str:
    if origin == "taken":
        return f"{name} not given: taken as {value}"
    return f"{name} {value} (from the {origin})"


def formula(numbers: Int64[np.ndarray, " atoms"]) -> str:
    """Return a formula in Hill's order, such as ``C2H6O``."""
    counts = Counter(symbol(int(number)) for number in numbers)
    first = [name for name in ("C", "H") if "C" in counts and name in counts]
    names = [*first, *sorted(counts.keys() - set(first))]
    return "".join(name + (str(counts[name]) if counts[name] > 1 else "") for name in names)


class Tally:
    """Counts the frames of each species as they pass."""

    def __init__(self) -> None:
        """Begin with none."""
        self.counts: Counter[Species] = Counter()

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Yield the frames as they come, counted where their structure can be read."""
        for frame in frames:
            if frame.structure is not None:
                self.counts[species_of(frame.structure, frame.origins)] += 1
            yield frame

    def lines(self) -> list[str]:
        """Return a line for each species: what it is, who says so, and how many frames."""
        return [
            f"{species}; {count} frame{'s' * (count > 1)}" for species, count in self.counts.items()
        ]


def species_of(structure: Structure, origins: Origins) -> Species:
    """Return the species of a structure."""
    hill = formula(structure.numbers)
    return Species(hill, len(structure), structure.charge, structure.multiplicity, origins)

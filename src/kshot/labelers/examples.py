"""The small molecules on which engines are tried out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kshot.atoms import Structure

STEP = 0.001  # Å, of finite differences: their error goes as its square


def water() -> Structure:
    """Return water, off its minimum and without symmetry."""
    positions = [[0.0, 0.0, 0.1173], [0.0, 0.7772, -0.4692], [0.05, -0.7372, -0.4492]]
    return Structure(np.array([8, 1, 1]), np.array(positions))


def displaced(structure: Structure, step: float = STEP) -> Iterator[Structure]:
    """Yield the structure with each coordinate moved by + and − a step (Å), in order."""
    for place in np.ndindex(len(structure), 3):
        for sign in (1, -1):
            positions = structure.positions.copy()
            positions[place] += sign * step
            yield structure.replace(positions=positions)

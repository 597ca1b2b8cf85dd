"""Cores that ligands sit on: one metal in a polyhedron, iron–sulfur clusters, porphine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float64, Int64

H, C, N, S = 1, 6, 7, 16


@dataclass(frozen=True)
class Core:
    """Atoms in place, and where ligands go.

    Args:
        numbers: atomic numbers.
        positions: in Å.
        corners: per ligand, the index of the atom it binds to and the unit vector towards it.
        charge: of everything that is not a metal (bridging sulfides, the porphine ring).
    """

    numbers: Int64[np.ndarray, " atoms"]
    positions: Float64[np.ndarray, "atoms 3"]
    corners: tuple[tuple[int, Float64[np.ndarray, " 3"]], ...]
    charge: int = 0


def _rows(*rows: Sequence[float | int]) -> Float64[np.ndarray, "corners 3"]:
    array = np.array(rows, float)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


_HALF = np.sqrt(3) / 2
SHAPES: Final = {
    "linear": _rows((0, 0, 1), (0, 0, -1)),
    "trigonal": _rows((1, 0, 0), (-0.5, _HALF, 0), (-0.5, -_HALF, 0)),
    "tetrahedral": _rows((1, 1, 1), (-1, -1, 1), (-1, 1, -1), (1, -1, -1)),
    "square-planar": _rows((1, 0, 0), (0, 1, 0), (-1, 0, 0), (0, -1, 0)),
    "trigonal-bipyramidal": _rows(
        (0, 0, 1), (0, 0, -1), (1, 0, 0), (-0.5, _HALF, 0), (-0.5, -_HALF, 0)
    ),
    "octahedral": _rows((1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)),
}


def one_metal(metal: int, shape: str) -> Core:
    """Return a metal at the origin with the corners of a shape."""
    corners = tuple((0, corner) for corner in SHAPES[shape])
    return Core(np.array([metal]), np.zeros((1, 3)), corners)


def two_iron_two_sulfur(metal: int) -> Core:
    """Return the rhomb M₂S₂: M–M 2.70 Å, M–S 2.20 Å, two corners per metal."""
    x, y = 1.35, np.sqrt(2.20**2 - 1.35**2)
    positions = np.array([(x, 0, 0), (-x, 0, 0), (0, y, 0), (0, -y, 0)])
    outwards = _rows((0.6, 0, 0.8), (0.6, 0, -0.8), (-0.6, 0, 0.8), (-0.6, 0, -0.8))
    corners = tuple(zip((0, 0, 1, 1), outwards, strict=True))
    return Core(np.array([metal, metal, S, S]), positions, corners, charge=-4)


def four_iron_four_sulfur(metal: int) -> Core:
    """Return the cubane M₄S₄: M–M 2.72 Å, M–S 2.30 Å, one corner per metal."""
    tetrahedron = SHAPES["tetrahedral"]
    metals, sulfurs = 2.72 * np.sqrt(3 / 8), 2.08
    positions = np.concatenate([metals * tetrahedron, -sulfurs * tetrahedron])
    corners = tuple(enumerate(tetrahedron))
    return Core(np.array([metal] * 4 + [S] * 4), positions, corners, charge=-8)


def porphine(metal: int) -> Core:
    """Return a metal in flat porphine of D4h symmetry, M–N 2.00 Å, with both axial corners."""
    pyrrole = [
        (N, 2.00, 0.00),
        (C, 2.84, 1.10),
        (C, 2.84, -1.10),
        (C, 4.22, 0.68),
        (C, 4.22, -0.68),
        (H, 5.06, 1.35),
        (H, 5.06, -1.35),
        (C, 2.43, 2.43),  # the meso carbon that leads to the next pyrrole
        (H, 3.20, 3.20),
    ]
    numbers, positions = [metal], [(0.0, 0.0, 0.0)]
    for quarter in range(4):
        cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarter]
        for number, x, y in pyrrole:
            numbers.append(number)
            positions.append((cos * x - sin * y, sin * x + cos * y, 0.0))
    corners = tuple((0, corner) for corner in SHAPES["linear"])
    return Core(np.array(numbers), np.array(positions), corners, charge=-2)


CLUSTERS: Final[dict[str, Callable[[int], Core]]] = {
    "2fe-2s": two_iron_two_sulfur,
    "4fe-4s": four_iron_four_sulfur,
    "porphine": porphine,
}

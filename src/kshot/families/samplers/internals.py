"""Curvilinear displacement: the same small motion, taken along bonds, angles and torsions.

A mode is a straight line only to first order. Followed far, the straight line of a methyl group's
rotation drives its hydrogens apart; the same motion told as a change of torsions turns the group.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Float64, Int64

from kshot.atoms import Structure
from kshot.families.samplers.geometry import bonds

STRAIGHT = np.cos(np.radians(170.0))  # beyond this angle neither it nor its torsions are used
TINY = 1e-4  # of the largest singular value: combinations that do not move to first order
STEPS, LONGEST, CLOSE_ENOUGH = 20, 0.3, 1e-7  # of Newton's method; Å; Å or radians
STRIDES = (1, 8, 40)


class Internals:
    """Bond lengths, angles, torsions and out-of-plane torsions of a scaffold.

    Only as many combinations of them as there are independent ones at the reference are held to
    their values, so that redundant ones (the angles around a planar centre, rings) do not pull
    against each other. What they leave open, such as one fragment against another, stays Cartesian.

    Args:
        structure: the reference, whose connectivity decides which there are.
    """

    def __init__(self, structure: Structure) -> None:
        """Find them, and their first order at the reference."""
        self._rest = np.array(structure.positions)
        self._pairs, self._triples, self._quads = _primitives(structure)
        values, self._first = self._measure(self._rest)
        self._values = values
        left, singular, _ = np.linalg.svd(self._first, full_matrices=False)
        keep = singular > TINY * singular.max(initial=1e-12)
        self._combine = left[:, keep].T

    def bend(self, moved: Float64[np.ndarray, "atoms 3"]) -> Float64[np.ndarray, "atoms 3"] | None:
        """Return the displacement that changes the internal coordinates as ``moved`` begins to.

        It is followed in one stride, or in as many as it takes; None where it cannot be followed,
        as beyond the point where three atoms come to stand in line.

        Args:
            moved: a straight displacement from the reference, in Å.
        """
        if not len(self._values):
            return moved
        for strides in STRIDES:
            positions = self._rest
            for stride in range(1, strides + 1):
                found = self._solve(positions + moved / strides, moved * (stride / strides))
                if found is None:
                    break
                positions = found
            else:
                return positions - self._rest
        return None

    def _solve(
        self, positions: Float64[np.ndarray, "atoms 3"], moved: Float64[np.ndarray, "atoms 3"]
    ) -> Float64[np.ndarray, "atoms 3"] | None:
        """Return where the internal coordinates are what ``moved`` asks for, near ``positions``."""
        wanted = self._first @ moved.ravel()
        for _ in range(STEPS):
            values, slope = self._measure(positions)
            missing = self._combine @ self._missing(values, wanted)
            if np.abs(missing).max() < CLOSE_ENOUGH:
                return positions
            step = np.linalg.lstsq(self._combine @ slope, missing, rcond=1e-8)[0]
            step *= min(1.0, LONGEST / max(np.abs(step).max(), 1e-12))
            positions = positions + step.reshape(-1, 3)
        return None

    def _missing(
        self, values: Float64[np.ndarray, " internals"], wanted: Float64[np.ndarray, " internals"]
    ) -> Float64[np.ndarray, " internals"]:
        """Return what is missing to the wanted change; of torsions, by whole turns the least."""
        missing = wanted - (values - self._values)
        torsions = len(self._pairs) + len(self._triples)
        missing[torsions:] = (missing[torsions:] + np.pi) % (2 * np.pi) - np.pi
        return missing

    def _measure(
        self, positions: Float64[np.ndarray, "atoms 3"]
    ) -> tuple[Float64[np.ndarray, " internals"], Float64[np.ndarray, "internals coordinates"]]:
        """Return all values (Å, radians) and their derivatives by the positions."""
        parts = [
            (self._pairs, *_lengths(positions, self._pairs)),
            (self._triples, *_angles(positions, self._triples)),
            (self._quads, *_torsions(positions, self._quads)),
        ]
        rows = []
        for atoms, values, slopes in parts:
            row = np.zeros((len(values), *positions.shape))
            for place in range(atoms.shape[1]):
                row[np.arange(len(values)), atoms[:, place]] += slopes[:, place]
            rows.append(row.reshape(len(values), positions.size))
        return np.concatenate([values for _, values, _ in parts]), np.concatenate(rows)


def _primitives(
    structure: Structure,
) -> tuple[Int64[np.ndarray, "_ 2"], Int64[np.ndarray, "_ 3"], Int64[np.ndarray, "_ 4"]]:
    """Return the atoms of every bond, angle, and torsion (out-of-plane ones included)."""
    R = structure.positions
    bonded = bonds(structure.numbers, R)
    near = [np.flatnonzero(row).tolist() for row in bonded]

    def bent(i: int, j: int, k: int) -> bool:
        a, b = R[i] - R[j], R[k] - R[j]
        return bool(abs(a @ b) < -STRAIGHT * np.linalg.norm(a) * np.linalg.norm(b))

    pairs = [(i, j) for i, j in combinations(range(len(R)), 2) if bonded[i, j]]
    triples = [
        (i, j, k) for j in range(len(R)) for i, k in combinations(near[j], 2) if bent(i, j, k)
    ]
    quads = [
        (i, j, k, l)
        for j, k in pairs
        for i in near[j]
        for l in near[k]
        if len({i, j, k, l}) == 4 and bent(i, j, k) and bent(j, k, l)
    ]
    quads += [
        (j, *around)
        for j in range(len(R))
        if len(around := near[j]) == 3 and bent(j, *around[:2]) and bent(*around)
    ]
    return (
        np.array(pairs, int).reshape(-1, 2),
        np.array(triples, int).reshape(-1, 3),
        np.array(quads, int).reshape(-1, 4),
    )


def _lengths(R: np.ndarray, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    along = R[atoms[:, 0]] - R[atoms[:, 1]]
    length = np.linalg.norm(along, axis=1)
    unit = along / length[:, None]
    return length, np.stack([unit, -unit], 1)


def _angles(R: np.ndarray, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = R[atoms[:, 0]] - R[atoms[:, 1]], R[atoms[:, 2]] - R[atoms[:, 1]]
    la, lb = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    ua, ub = a / la[:, None], b / lb[:, None]
    cosine = np.clip((ua * ub).sum(1), -1, 1)
    sine = np.sqrt(np.maximum(1 - cosine**2, 1e-12))
    first = (cosine[:, None] * ua - ub) / (la * sine)[:, None]
    last = (cosine[:, None] * ub - ua) / (lb * sine)[:, None]
    return np.arccos(cosine), np.stack([first, -first - last, last], 1)


def _torsions(R: np.ndarray, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Torsions and derivatives in the form without singularities at 0 and π.

    Blondel and Karplus, J. Comput. Chem. 17, 1132 (1996).
    """
    i, j, k, l = (R[atoms[:, place]] for place in range(4))
    F, G, H = i - j, j - k, l - k
    A, B = np.cross(F, G), np.cross(H, G)
    g = np.linalg.norm(G, axis=1)[:, None]
    A2, B2 = ((x * x).sum(1, keepdims=True).clip(1e-12) for x in (A, B))
    angle = np.arctan2((np.cross(B, A) * G).sum(1) / g[:, 0], (A * B).sum(1))
    first, last = -g / A2 * A, g / B2 * B
    middle = (F * G).sum(1, keepdims=True) / (A2 * g) * A
    middle = middle - (H * G).sum(1, keepdims=True) / (B2 * g) * B
    return angle, np.stack([first, middle - first, -middle - last, last], 1)

"""Stereochemistry as coordinates show it, compared between configurations of one molecule.

Only what dynamics does not change by itself counts: tetrahedral centres whose neighbours differ,
and double bonds (amides among them) whose ends differ. A mirror image is the same stereochemistry:
its energy is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int64

from kshot.atoms.bonds import neighbour_lists, ranks

FLAT = 0.1
"""Below it, the volume of three unit vectors, or the cosine of a torsion, has no sign."""
DOUBLE = 0.945
"""Shorter than this share of the covalent radii's sum, bonds of C and N do not turn freely."""
TURNS_NOT = (6, 7)


class Stereo(NamedTuple):
    """Where a molecule has stereochemistry, by the numbers of its atoms.

    Args:
        centres: the centre, then its neighbours by their rank; all of them differ.
        rings: likewise, where two neighbours are alike but for the way round a ring.
        doubles: substituent, the bond's two atoms, substituent: those of the highest rank.
    """

    centres: Int64[np.ndarray, "centres 5"]
    rings: Int64[np.ndarray, "rings 5"]
    doubles: Int64[np.ndarray, "doubles 4"]


class Signs(NamedTuple):
    """+1 or −1 for each place of a `Stereo`; 0 where the coordinates do not tell."""

    centres: Int64[np.ndarray, " centres"]
    rings: Int64[np.ndarray, " rings"]
    doubles: Int64[np.ndarray, " doubles"]


def stereo_of(
    numbers: Int64[np.ndarray, " atoms"],
    bonded: Int64[np.ndarray, "bonds 2"],
    stretched: Float64[np.ndarray, " bonds"],
) -> Stereo:
    """Return where a molecule has stereochemistry.

    Args:
        numbers: atomic numbers.
        bonded: its bonds.
        stretched: their mean lengths over the sums of covalent radii.
    """
    lists, rank = neighbour_lists(len(numbers), bonded), ranks(numbers, bonded)
    ordered = [sorted(near, key=lambda n: (-int(rank[n]), n)) for near in lists]
    centres: list[list[int]] = []
    rings: list[list[int]] = []
    for centre, near in enumerate(ordered):
        alike = [(a, b) for a, b in pairwise(near) if rank[a] == rank[b]]
        if len(near) == 4 and not alike:
            centres.append([centre, *near])
        elif len(near) == 4 and len(alike) == 1 and _round(lists, centre, *alike[0]):
            rings.append([centre, *near])
    short = bonded[stretched < DOUBLE].tolist()
    doubles = [found for a, b in short if (found := _double(numbers, rank, ordered, a, b))]
    return Stereo(_table(centres, 5), _table(rings, 5), _table(doubles, 4))


def signs(stereo: Stereo, positions: Float64[np.ndarray, "atoms 3"]) -> Signs:
    """Return the signs of a configuration, whose positions are in Å."""
    return Signs(
        _handed(stereo.centres, positions),
        _handed(stereo.rings, positions),
        _turned(stereo.doubles, positions),
    )


def differing(
    stereo: Stereo,
    positions: Float64[np.ndarray, "atoms 3"],
    known: Sequence[Signs],
) -> list[int]:
    """Return the atoms at which a configuration has other stereochemistry than the most alike.

    Args:
        stereo: of the molecule.
        positions: of the configuration, in Å.
        known: the `signs` of others.
    """
    own = signs(stereo, positions)
    # Mirroring turns all centres round; walking a ring the other way, those of rings.
    turns = [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, 1)]
    wrong = [
        [turn * mine * theirs < 0 for turn, mine, theirs in zip(turned, own, other, strict=True)]
        for other in known
        for turned in turns
    ]
    if not wrong:
        return []
    least = min(wrong, key=lambda places: sum(int(place.sum()) for place in places))
    atoms = stereo.centres[least[0], 0].tolist() + stereo.rings[least[1], 0].tolist()
    return sorted({*atoms, *stereo.doubles[least[2], 1:3].ravel().tolist()})


def _round(lists: list[list[int]], centre: int, first: int, last: int) -> bool:
    """Whether a ring leads from one neighbour of a centre to another."""
    seen, front = {centre, first}, [first]
    while front:
        fresh = [n for n in lists[front.pop()] if n not in seen]
        seen.update(fresh)
        front += fresh
    return last in seen


def _double(
    numbers: Int64[np.ndarray, " atoms"],
    rank: Int64[np.ndarray, " atoms"],
    ordered: list[list[int]],
    a: int,
    b: int,
) -> list[int]:
    """Return the four atoms of a double bond whose ends differ; nothing if it is none."""
    if numbers[a] not in TURNS_NOT or numbers[b] not in TURNS_NOT:
        return []
    ends = [[n for n in ordered[a] if n != b], [n for n in ordered[b] if n != a]]
    for end in ends:
        if len(end) not in (1, 2) or (len(end) == 2 and rank[end[0]] == rank[end[1]]):
            return []
    return [ends[0][0], a, b, ends[1][0]]


def _table(rows: list[list[int]], width: int) -> Int64[np.ndarray, "rows width"]:
    return np.array(rows, np.int64).reshape(-1, width)


def _handed(
    centres: Int64[np.ndarray, "centres 5"], positions: Float64[np.ndarray, "atoms 3"]
) -> Int64[np.ndarray, " centres"]:
    arms = _unit(positions[centres[:, 1:4]] - positions[centres[:, :1]])
    return _sign(np.linalg.det(arms))


def _turned(
    doubles: Int64[np.ndarray, "doubles 4"], positions: Float64[np.ndarray, "atoms 3"]
) -> Int64[np.ndarray, " doubles"]:
    first, a, b, last = (positions[doubles[:, k]] for k in range(4))
    axis = _unit(b - a)
    out, back = (
        _unit(arm - (arm * axis).sum(1, keepdims=True) * axis) for arm in (first - a, last - b)
    )
    return _sign((out * back).sum(1))


def _unit(vectors: Float64[np.ndarray, "*some 3"]) -> Float64[np.ndarray, "*some 3"]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def _sign(values: Float64[np.ndarray, " places"]) -> Int64[np.ndarray, " places"]:
    return np.where(np.abs(values) < FLAT, 0, np.sign(values)).astype(np.int64)

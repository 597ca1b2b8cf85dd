"""Bonds as distances show them, and which atoms of a molecule are alike."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64, Int64

from kshot.atoms.descriptors import pair_distances
from kshot.atoms.elements import elements
from kshot.atoms.structure import Structure

BONDED = 1.25
"""Nearer than this share of the sum of their covalent radii, two atoms are bonded."""
UNKNOWN_RADIUS = 1.5  # Å: of elements whose covalent radius nobody knows


def stretch(
    structure: Structure,
) -> tuple[Int64[np.ndarray, "pairs 2"], Float64[np.ndarray, " pairs"]]:
    """Return every pair of atoms once, and its distance over the sum of covalent radii."""
    first, second, distances = pair_distances(structure)
    radii = np.nan_to_num(elements().radii, nan=UNKNOWN_RADIUS)[structure.numbers]
    return np.stack([first, second], axis=1), distances / (radii[first] + radii[second])


def bonds(structure: Structure) -> Int64[np.ndarray, "bonds 2"]:
    """Return the pairs of bonded atoms, the lower number first, sorted."""
    pairs, ratios = stretch(structure)
    return pairs[ratios < BONDED]


def neighbour_lists(atoms: int, bonded: Int64[np.ndarray, "bonds 2"]) -> list[list[int]]:
    """Return the atoms bonded to each one."""
    lists: list[list[int]] = [[] for _ in range(atoms)]
    for first, second in bonded.tolist():
        lists[first].append(second)
        lists[second].append(first)
    return lists


def ranks(
    numbers: Int64[np.ndarray, " atoms"], bonded: Int64[np.ndarray, "bonds 2"]
) -> Int64[np.ndarray, " atoms"]:
    """Return a number for each atom: different where elements or bonds, however far away, differ.

    Ranks are refined by those of neighbours until they stay (Weisfeiler and Leman), and do not
    depend on how atoms are numbered.
    """
    lists = neighbour_lists(len(numbers), bonded)
    current = np.unique(numbers, return_inverse=True)[1].tolist()
    while True:
        wide = [(own, *sorted(current[n] for n in lists[i])) for i, own in enumerate(current)]
        order = {kind: rank for rank, kind in enumerate(sorted(set(wide)))}
        if len(order) == len(set(current)):
            return np.array(current, np.int64)
        current = [order[kind] for kind in wide]

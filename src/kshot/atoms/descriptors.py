"""How alike are two configurations? Invariants under rotation, reflection and renumbering.

Two of them, for two uses:

- `descriptor` has one length for every structure, whatever its elements: for choosing diverse ones.
- `spectrum` is comparable within one composition only, and its distances are in Å: for telling
  near-duplicates.

Both look at elements and distances and at nothing else: not at charge, spin or masses, so two
oxidation states of one geometry are near-duplicates, as a split of data wants it. A molecule and
its mirror image are alike, as they are in energy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
from jaxtyping import Float, Float64, Int64

from kshot.atoms.structure import Structure
from kshot.core.errors import OptionError
from kshot.core.seeds import named_generator

CHANNELS = 16
CENTRES = np.linspace(0.6, 6.6, 25)  # Å
WIDTH = 0.25  # Å: the spacing of the centres, so that their sum is smooth
REACH = 7.0  # Å
TOLERANCE = 0.005
"""Å: the default of `near_duplicates`. Thermal frames of GFN2 at 300 K are further apart: ethanol
0.07 after 10 fs and 0.08 for good, rigid benzene and CCl₄ 0.03 and 0.02 (medians)."""
LONGEST = 128
"""Values kept per pair of elements in a spectrum; longer lists are averaged in blocks."""


def descriptor(structure: Structure) -> Float64[np.ndarray, " features"]:
    """Return a vector of fixed length (416) that says which elements stand how far apart.

    Each pair of elements has a radial histogram, smooth and weighted towards bonds; a random but
    fixed vector per pair of elements folds all histograms into one of fixed length. Per atom, so
    that sizes compare. It is continuous in the positions.
    """
    i, j, distances = pair_distances(structure)
    near = distances < REACH
    i, j, distances = i[near], j[near], distances[near]
    numbers = structure.numbers
    codes = np.minimum(numbers[i], numbers[j]) * 128 + np.maximum(numbers[i], numbers[j])
    kinds, which = np.unique(codes, return_inverse=True)
    table = np.array([_direction(int(code)) for code in kinds]).reshape(-1, CHANNELS)
    weights = (1 + np.cos(np.pi * distances / REACH)) / np.maximum(distances, 0.5)
    bumps = np.exp(-0.5 * ((distances[:, None] - CENTRES) / WIDTH) ** 2) * weights[:, None]
    folded = np.zeros((len(kinds), len(CENTRES)))
    np.add.at(folded, which, bumps)
    elements = np.sum([_direction(int(z)) for z in numbers], axis=0)
    return np.concatenate([elements, (folded.T @ table).ravel()]) / len(structure)


def descriptors(structures: Sequence[Structure]) -> Float64[np.ndarray, "structures features"]:
    """Return the `descriptor` of each structure, as rows."""
    return np.array([descriptor(structure) for structure in structures])


def farthest_points(
    descriptors: Float[np.ndarray, "points features"],
    k: int,
    seed: int = 0,
    taken: Float[np.ndarray, "taken features"] | None = None,
) -> Int64[np.ndarray, " k"]:
    """Choose ``k`` points, each as far as possible from those chosen before it.

    Args:
        descriptors: one row per point.
        k: how many; at most the number of points.
        seed: the first point is drawn with it; the others follow.
        taken: points that are chosen already, in the order they were: choosing goes on from them,
            and nothing is drawn.

    Returns:
        Their rows, in the order chosen, none twice.

    Raises:
        OptionError: there are fewer points than ``k``, or ``k`` is below 1.
    """
    points = np.asarray(descriptors, np.float64)
    if not 1 <= k <= len(points):
        raise OptionError(f"k from 1 to the {len(points)} points", f"k = {k}", "Ask for fewer.")
    nearest = np.full(len(points), np.inf)
    for point in np.empty((0, points.shape[1])) if taken is None else taken:
        nearest = np.minimum(nearest, ((points - point) ** 2).sum(1))
    chosen: list[int] = []
    while len(chosen) < k:
        if np.isfinite(nearest).all():
            chosen.append(int(nearest.argmax()))
        else:
            chosen.append(int(named_generator(seed, "farthest points").integers(len(points))))
        nearest = np.minimum(nearest, ((points - points[chosen[-1]]) ** 2).sum(1))
        nearest[chosen[-1]] = -1.0  # below every distance, also among copies
    return np.array(chosen, np.int64)


def spectrum(structure: Structure, longest: int = LONGEST) -> Float64[np.ndarray, " values"]:
    """Return the sorted distances of each pair of elements, scaled so that norms are RMS values.

    Between two structures of one composition the Euclidean distance of their spectra is the root
    mean square difference of their sorted interatomic distances, in Å (or below it, where lists
    longer than ``longest`` are averaged in blocks). It is never above √2 times the largest
    displacement of an atom by which one is turned into the other.
    """
    i, j, distances = pair_distances(structure)
    numbers = structure.numbers
    codes = np.minimum(numbers[i], numbers[j]) * 128 + np.maximum(numbers[i], numbers[j])
    order = np.lexsort((distances, codes))
    codes, distances = codes[order], distances[order]
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    blocks = [_blocks(part, longest) for part in np.split(distances, starts[1:])]
    return np.concatenate(blocks) / np.sqrt(max(len(distances), 1))


def near_duplicates(
    structures: Sequence[Structure], tolerance: float = TOLERANCE
) -> list[tuple[int, int]]:
    """Return the pairs of structures that are almost the same.

    Alike are structures of one composition whose `spectrum` differs by less than ``tolerance``:
    however they are turned, shifted, mirrored or numbered, and whatever their charge and spin.

    Args:
        structures: any; they are compared within compositions.
        tolerance: in Å, root mean square over interatomic distances.

    Returns:
        Pairs (i, j) with i < j, sorted.
    """
    groups: dict[bytes, list[int]] = {}
    for index, structure in enumerate(structures):
        groups.setdefault(np.sort(structure.numbers).tobytes(), []).append(index)
    found: list[tuple[int, int]] = []
    for members in groups.values():
        spectra = np.array([spectrum(structures[m]) for m in members])
        found += [_sorted(members[a], members[b]) for a, b in _close(spectra, tolerance)]
    return sorted(found)


def _close(
    spectra: Float64[np.ndarray, "members values"], tolerance: float
) -> Iterator[tuple[int, int]]:
    """Yield the rows nearer to each other than ``tolerance``."""
    if len(spectra) < 2:
        return
    # Along any direction two rows are at most as far apart as they are: sort along the one in which
    # they differ most, and compare only those within a window.
    centred = spectra - spectra.mean(0)
    direction = centred[(centred**2).sum(1).argmax()]
    shadow = centred @ (direction / max(np.linalg.norm(direction), 1e-300))
    order = np.argsort(shadow)
    ends = np.searchsorted(shadow[order], shadow[order] + tolerance, side="right")
    for place, end in enumerate(ends):
        row, others = order[place], order[place + 1 : end]
        distances = ((spectra[others] - spectra[row]) ** 2).sum(1)
        yield from ((int(row), int(other)) for other in others[distances < tolerance**2])


def pair_distances(
    structure: Structure,
) -> tuple[Int64[np.ndarray, " pairs"], Int64[np.ndarray, " pairs"], Float64[np.ndarray, " pairs"]]:
    """Every pair of atoms once, with its distance in Å: to the nearest image where it repeats."""
    i, j = np.triu_indices(len(structure), 1)
    vectors = structure.positions[j] - structure.positions[i]
    if structure.pbc.any() and structure.cell is not None and len(vectors):
        from ase.geometry import find_mic

        pbc: Any = structure.pbc  # three flags, which ASE's annotation does not admit
        return i, j, find_mic(vectors, structure.cell, pbc)[1]
    return i, j, np.sqrt(np.einsum("ij,ij->i", vectors, vectors))


@cache
def _direction(code: int) -> Float64[np.ndarray, " channels"]:
    """A random vector of expected norm 1 that belongs to an element or a pair of elements."""
    return named_generator(code, "descriptor").normal(size=CHANNELS) / np.sqrt(CHANNELS)


def _blocks(values: Float64[np.ndarray, " values"], longest: int) -> Float64[np.ndarray, " blocks"]:
    """Average a long sorted list in blocks, each weighted by the root of its length."""
    if len(values) <= longest:
        return values
    parts = np.array_split(values, longest)
    return np.array([part.mean() * np.sqrt(len(part)) for part in parts])


def _sorted(a: int, b: int) -> tuple[int, int]:
    return (a, b) if a < b else (b, a)

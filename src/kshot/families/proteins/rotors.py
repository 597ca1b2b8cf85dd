"""Turn hydroxyls, thiols, ammonium, methyl groups and waters away from clashes, towards acceptors.

Each is scanned once with everything else at rest: light groups on carbon first, polar ones after.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int64

from kshot.core.seeds import named_generator
from kshot.families.proteins import space
from kshot.families.proteins.metals import METALS

STEPS = 24
REACH = 5.0  # Å
CHARGES = {7: -0.4, 8: -0.6, 9: -0.5, 16: -0.3, 17: -0.5}
CORE = {1: 1.9, 6: 2.3, 7: 2.0, 8: 1.9}  # Å from a hydrogen at which atoms begin to touch


def turn(
    positions: Float64[np.ndarray, "atoms 3"],
    numbers: Int64[np.ndarray, " atoms"],
    bonds: dict[tuple[int, int], int],
    movable: Sequence[int],
) -> Float64[np.ndarray, "atoms 3"]:
    """Return positions with the movable hydrogens turned about their parents' bonds.

    Args:
        positions: in Å.
        numbers: atomic numbers.
        bonds: of all atoms.
        movable: hydrogens that may turn; those of the file stand still.
    """
    beside: dict[int, list[int]] = {}
    for i, j in bonds:
        beside.setdefault(i, []).append(j)
        beside.setdefault(j, []).append(i)
    free = set(movable)
    groups = [found for i in beside if (found := _group(i, beside, numbers, free))]
    groups.sort(key=lambda group: (numbers[group[0]] != 6, -len(group[1]), group[0]))
    tree = space.tree(positions)
    points = positions.copy()
    charges = _charges(numbers, beside)
    for parent, hydrogens, axis in groups:
        near = np.setdiff1d(
            tree.query_ball_point(points[parent], REACH), [parent, *hydrogens]
        ).astype(int)
        options = _options(points, parent, hydrogens, axis)
        polar = 0.4 if numbers[parent] != 6 else 0.05
        scores = _scores(options, points[near], numbers[near], polar * charges[near])
        points[hydrogens] = options[int(np.argmin(scores.round(9)))]
    return points


def _group(
    i: int, beside: dict[int, list[int]], numbers: Int64[np.ndarray, " atoms"], free: set[int]
) -> tuple[int, list[int], int] | None:
    """An atom whose hydrogens turn about its one other bond: (atom, hydrogens, other or -1)."""
    hydrogens = [j for j in beside[i] if numbers[j] == 1]
    others = [j for j in beside[i] if numbers[j] > 1]
    if numbers[i] == 1 or not hydrogens or not set(hydrogens) <= free or len(others) > 1:
        return None
    if not others:
        return i, hydrogens, -1
    # An sp2 nitrogen with two hydrogens is planar and stays so.
    if numbers[i] == 7 and len(hydrogens) < 3:
        return None
    return i, hydrogens, others[0]


def _charges(
    numbers: Int64[np.ndarray, " atoms"], beside: dict[int, list[int]]
) -> Float64[np.ndarray, " atoms"]:
    """Rough charges: acceptors attract a hydrogen, hydrogens and metals repel it."""
    charges = np.array([1.0 if int(z) in METALS else CHARGES.get(int(z), 0.0) for z in numbers])
    for i in np.flatnonzero(numbers == 1):
        charges[i] = 0.4 if all(numbers[j] != 6 for j in beside.get(int(i), [])) else 0.05
    for i in np.flatnonzero(numbers == 7):  # a nitrogen with hydrogens gives, it does not take
        if any(numbers[j] == 1 for j in beside.get(int(i), [])):
            charges[i] = 0.0
    return charges


def _options(
    points: Float64[np.ndarray, "atoms 3"], parent: int, hydrogens: list[int], axis: int
) -> Float64[np.ndarray, "options hydrogens 3"]:
    """Every way the group may stand."""
    from scipy.spatial.transform import Rotation

    arms = points[hydrogens] - points[parent]
    if axis < 0:
        rng = named_generator(0, "water")
        turns = Rotation.from_quat(rng.normal(size=(4 * STEPS, 4)))
    else:
        direction = points[parent] - points[axis]
        direction /= np.linalg.norm(direction)
        angles = np.arange(STEPS) * 2 * np.pi / STEPS
        turns = Rotation.from_rotvec(angles[:, None] * direction)
    return points[parent] + np.stack([turn.apply(arms) for turn in turns])


def _scores(
    options: Float64[np.ndarray, "options hydrogens 3"],
    others: Float64[np.ndarray, "others 3"],
    numbers: Int64[np.ndarray, " others"],
    products: Float64[np.ndarray, " others"],
) -> Float64[np.ndarray, " options"]:
    """Coulomb plus a soft wall; only differences within one group matter."""
    distances = np.linalg.norm(options[:, :, None, :] - others, axis=-1)
    distances = np.maximum(distances, 0.3)
    wall = np.array([CORE.get(int(z), 2.4) for z in numbers])
    return (products / distances + 0.02 * (wall / distances) ** 8).sum((1, 2))

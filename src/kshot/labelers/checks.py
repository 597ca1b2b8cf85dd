"""What engines let through without a word: asked before they run, and of what they give."""

from __future__ import annotations

import math

from kshot.atoms import Failure, Labels, Structure, check_structure

HEAVIEST = 118
FORCE_LIMIT = 100.0  # eV/Å; a bond squeezed to two thirds of its length pulls about half of that
NET_FORCE_LIMIT = 0.05  # eV/Å; a sound calculation without outer fields has none


def why_refused(structure: Structure, heaviest: int = HEAVIEST) -> Failure | None:
    """Return why no engine should be asked about a structure, or None if it is sound.

    Args:
        structure: what is to be labelled.
        heaviest: the largest atomic number that the engine knows.
    """
    problems = check_structure(structure)
    if not problems and (most := max(structure.numbers.tolist())) > heaviest:
        problems = [f"atomic number {most}: this engine knows elements up to {heaviest}"]
    return Failure("refused", "; ".join(problems)) if problems else None


def why_unphysical(labels: Labels, *, net_force: float = NET_FORCE_LIMIT) -> Failure | None:
    """Return why labels cannot be believed, or None.

    Args:
        labels: what an engine gave and called converged.
        net_force: largest sum of all forces along one axis, in eV/Å.
    """
    forces = labels.forces.ravel().tolist()  # of so few, Python's own sums are faster than NumPy's
    sums = [sum(forces[axis::3]) for axis in range(3)]
    if not math.isfinite(labels.energy + sum(sums)):
        return Failure("unphysical", "energy or forces are not finite")
    largest = max(map(abs, forces), default=0.0)
    if largest > FORCE_LIMIT:
        return Failure("unphysical", f"a force of {largest:.0f} eV/Å (limit {FORCE_LIMIT:.0f})")
    net = max(map(abs, sums))
    if net > net_force:
        return Failure("unphysical", f"forces add up to {net:.3f} eV/Å (limit {net_force})")
    return None


def believed(labels: Labels, *, net_force: float = NET_FORCE_LIMIT) -> Labels | Failure:
    """Return the labels, or why they cannot be believed."""
    return why_unphysical(labels, net_force=net_force) or labels

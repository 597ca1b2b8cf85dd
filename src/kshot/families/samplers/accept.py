"""Which sampled geometries are kept: none broken, none nearly equal to one already there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Failure, Structure
from kshot.families.samplers.geometry import aligned_rmsd, bond_lengths, bonds, distances


@dataclass(frozen=True)
class Accept:
    """What a frame must fulfil to be kept.

    Args:
        distance: to every frame kept before, at least: the aligned root mean square distance in
            Å (`kshot.families.samplers.geometry.aligned_rmsd`). 0 keeps all. A distance thins out
            where the distribution is dense, so averages over the frames are no longer those of the
            ensemble.
        bonds: ``"keep"`` refuses frames in which a bond of the reference is broken or a new one
            made; ``"free"`` lets bonds go.
        stretch: a bond is broken beyond this times its length in the reference.
        made: a pair not bonded in the reference is bonded below this times its covalent radii;
            less than the 1.25 by which bonds of the reference are told.
        close: no two atoms come nearer than this times their covalent radii, whatever ``bonds``.
    """

    distance: float = 0.0
    bonds: Literal["keep", "free"] = "keep"
    stretch: float = 1.4
    made: float = 1.05
    close: float = 0.6


EVERYTHING = Accept(bonds="free", close=0.0)
"""Keeps every frame: what a sampler draws, undistorted."""

APART = Accept(distance=0.005)
"""Refuses copies. At 300 K independent frames of water are 0.03 Å apart, of ethanol 0.2 Å: a larger
distance thins out a trajectory of the latter and is impossible for the former."""


class Sieve:
    """Keeps the acceptable among the frames offered, and counts the others.

    Args:
        reference: the scaffold, whose bonds and bond lengths are the measure.
        accept: what is acceptable.
    """

    def __init__(self, reference: Structure, accept: Accept) -> None:
        """Measure the reference."""
        self.frames: list[Structure] = []
        self.refused: Counter[str] = Counter()
        self._accept = accept
        self._positions: list[np.ndarray] = []
        self._radii = bond_lengths(reference.numbers)
        self._bonded = bonds(reference.numbers, reference.positions)
        self._lengths = distances(reference.positions)
        self._pairs = np.triu_indices(len(reference), 1)

    def offer(self, frame: Structure) -> bool:
        """Keep the frame if it is acceptable; return whether it was."""
        reason = self.broken(frame.positions) or self._copy(frame.positions)
        if reason:
            self.refused[reason] += 1
            return False
        self.frames.append(frame)
        self._positions.append(frame.positions)
        return True

    def broken(self, positions: Float64[np.ndarray, "atoms 3"]) -> str:
        """Return what is wrong with a geometry; empty if nothing."""
        accept = self._accept
        now = distances(positions)[self._pairs]
        bonded, radii = self._bonded[self._pairs], self._radii[self._pairs]
        if not np.isfinite(now).all():
            return "not finite"
        if (now < accept.close * radii).any():
            return "atoms too close"
        if accept.bonds == "free":
            return ""
        if (bonded & (now > accept.stretch * self._lengths[self._pairs])).any():
            return "broken bond"
        return "new bond" if (~bonded & (now < accept.made * radii)).any() else ""

    def _copy(self, positions: Float64[np.ndarray, "atoms 3"]) -> str:
        if self._accept.distance <= 0 or not self._positions:
            return ""
        near = aligned_rmsd(np.array(self._positions), positions).min() < self._accept.distance
        return "near copy" if near else ""

    def result(self, n: int) -> list[Structure] | Failure:
        """Return the first ``n`` frames kept, or the Failure that says why there are fewer."""
        if len(self.frames) >= n:
            return self.frames[:n]
        why = ", ".join(f"{count} × {reason}" for reason, count in self.refused.most_common())
        detail = f"only {len(self.frames)} of {n} frames were acceptable; refused: {why or 'none'}"
        if self.refused["near copy"]:
            detail += f", at Accept(distance={self._accept.distance:g})"
        return Failure("unphysical", detail)

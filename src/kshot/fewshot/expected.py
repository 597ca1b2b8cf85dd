"""What error to expect on new frames, from errors left out inside the K labels.

Cross-validation chooses among scales, steps and methods by what it reports. From twenty labels on
that is right all the same; with fewer the least of several errors of so few energies is too small a
promise, and forces, of which there are hundreds, say more. So energies are corrected by what was
seen on families whose true errors are known:

    ln(true / energy) = c₀ + s (c₁ + c₂ q)        s = ln(20 / K), or 0 from K = 20 on
    ln(true / forces) = c₀ + c₁ ln(K / 20)        q = ln(energy / (forces · √atoms))

Energies and forces on the right are cross-validated ones. Errors that are all ten times smaller
give expectations ten times smaller. What lies beyond what was seen counts as its edge.

Calibrated on bio-small with GFN2 labels, K from 5 to 50, molecules of 10 to 23 atoms, by
``benchmarks/fewshot/calibrate.py``; the intervals are those of a family that was left out of the
fit. It speaks of new frames like the labelled ones: under a shift that the
labels do not show, such as another conformer, errors may be several times larger. Where energies
left out are worse than all this says, by more than the scatter of K of them, they are believed.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from kshot.fewshot.least_squares import Score

LABELS = 20.0  # where the logarithm is zero
WITHIN = {"labels": (5.0, 50.0), "ratio": (1e-3, 1.0)}
TINY = 1e-12  # eV, eV/Å
WIDE = 1.645  # standard deviations: what one of twenty is beyond


class Correction(NamedTuple):
    """A fitted line, and how far true errors lay from it.

    Args:
        weights: of the features.
        reach: nine of ten true errors of a new family are within this factor of the expected one.
    """

    weights: tuple[float, ...]
    reach: float

    @property
    def low(self) -> float:
        """Lower end of the interval, as a part of the expected error."""
        return 1 / self.reach

    @property
    def high(self) -> float:
        """Upper end of the interval, as a multiple of the expected error."""
        return self.reach


ENERGY = Correction((0.034, -1.219, -0.528), 1.93)
FORCES = Correction((0.011, 0.0), 1.33)


class Expected(NamedTuple):
    """Root mean square errors to expect on new frames, with intervals that hold nine of ten.

    Args:
        energy: in eV per structure.
        energy_low: lower end.
        energy_high: upper end.
        forces: in eV/Å per component.
        forces_low: lower end.
        forces_high: upper end.
    """

    energy: float
    energy_low: float
    energy_high: float
    forces: float
    forces_low: float
    forces_high: float


def expected(error: Score, labels: int, atoms: float) -> Expected:
    """Return what to expect of a method on new frames.

    Args:
        error: cross-validated inside the labels; NaN where nothing of a kind is labelled.
        labels: how many.
        atoms: of a structure, on average.
    """
    forces = error.forces * float(np.exp(force_features(labels) @ FORCES.weights))
    if np.isfinite(error.forces):
        energy = max(error.energy, TINY)
        energy *= float(np.exp(energy_features(error, labels, atoms) @ ENERGY.weights))
        energy = max(energy, sure_of(labels) * error.energy)
    else:  # nothing to lean on
        energy = error.energy
    if not np.isfinite(error.energy):
        energy = float("nan")
    return Expected(
        energy,
        energy * ENERGY.low,
        energy * ENERGY.high,
        forces,
        forces * FORCES.low,
        forces * FORCES.high,
    )


def sure_of(labels: int) -> float:
    """Return the part of a root mean square of so many errors that is no accident of the draw."""
    return max(0.0, 1.0 - WIDE / float(np.sqrt(2 * labels)))


def energy_features(error: Score, labels: int, atoms: float) -> Float[np.ndarray, " features"]:
    """Return what the logarithm of true by cross-validated energy errors is linear in."""
    few = max(0.0, -_log_labels(labels))
    ratio = max(error.energy, TINY) / (max(error.forces, TINY) * atoms**0.5)
    return np.array([1.0, few, few * float(np.log(np.clip(ratio, *WITHIN["ratio"])))])


def force_features(labels: int) -> Float[np.ndarray, " features"]:
    """Return what the logarithm of true by cross-validated force errors is linear in."""
    return np.array([1.0, _log_labels(labels)])


def _log_labels(labels: int) -> float:
    return float(np.log(np.clip(labels, *WITHIN["labels"]) / LABELS))

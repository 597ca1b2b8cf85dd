"""Adaptation in closed form: a linearised model, a Gaussian prior over its parameters, K labels.

    prediction = f(θ) + J δ + c·s        δ ~ N(0, V),  s ~ N(0, S²) a shift per element
    C = J V Jᵀ + S² c cᵀ + Σ             Σ: noise of energies and of forces
    δ = −V Jᵀ C⁻¹ r                      r: prediction less label at θ

The same algebra as `kshot.meta.rules.gauss_newton` in its dual form, with what that rule leaves
out: leave-one-out errors in closed form, so that strengths are chosen inside the K labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float

from kshot.fewshot.jacobian import Rows

SHIFT = 10.0  # eV per element: as good as free, and no element takes all of it


@dataclass(frozen=True)
class Prior:
    """What is known before the K labels.

    Args:
        variance: of each parameter (flat), how far it may move; zeros hold parameters still.
        energy_noise: standard deviation of an energy per square root of its atoms, in eV.
        force_noise: of a force component, in eV/Å.
    """

    variance: Float[np.ndarray, " params"]
    energy_noise: float = 0.01
    force_noise: float = 0.1

    def scaled(self, factor: float) -> Prior:
        """Return the prior with all variances of parameters times a factor."""
        return Prior(self.variance * factor, self.energy_noise, self.force_noise)

    def noise(self, rows: Rows) -> Float[np.ndarray, " rows"]:
        """Return the variance of each row's label."""
        atoms = rows.counts.sum(1)[rows.frame]
        return np.where(rows.is_energy, self.energy_noise**2 * atoms, self.force_noise**2)


class Fit(NamedTuple):
    """What the labels teach.

    Args:
        move: δ, of flat parameters.
        shifts: s of each of the potential's elements, in eV.
        left_out: prediction less label of each row, by the fit to all other frames.
    """

    move: Float[np.ndarray, " params"]
    shifts: Float[np.ndarray, " kinds"]
    left_out: Float[np.ndarray, " rows"]


class Gram:
    """J V Jᵀ of some rows, in float64, for one prior; other scales of the prior cost little.

    Args:
        rows: a linearised model.
        prior: what is known before.
    """

    def __init__(self, rows: Rows, prior: Prior) -> None:
        """Multiply once."""
        self.rows, self.prior = rows, prior
        scaled = rows.jacobian * np.sqrt(prior.variance).astype(np.float32)
        self.matrix = (scaled @ scaled.T).astype(np.float64)
        self.energies = np.where(rows.is_energy[:, None], rows.counts[rows.frame], 0)

    def fit(self, factor: float = 1.0, residual: np.ndarray | None = None) -> Fit:
        """Return the fit for the prior's variances times a factor.

        Args:
            factor: of the variances.
            residual: takes the place of the rows' own, in a later step of Gauss-Newton.
        """
        rows = self.rows
        right = rows.residual if residual is None else residual
        inverse = np.linalg.inv(self._covariance(factor))
        alpha = inverse @ right
        move = -factor * self.prior.variance * (rows.jacobian.T @ alpha.astype(np.float32))
        shifts = -(SHIFT**2) * (self.energies.T @ alpha)
        return Fit(move, shifts, _left_out(rows, inverse, alpha))

    def _covariance(self, factor: float) -> Float[np.ndarray, "rows rows"]:
        covariance = factor * self.matrix + SHIFT**2 * (self.energies @ self.energies.T)
        covariance[np.diag_indices_from(covariance)] += self.prior.noise(self.rows)
        return covariance


def _left_out(
    rows: Rows, inverse: Float[np.ndarray, "rows rows"], alpha: Float[np.ndarray, " rows"]
) -> Float[np.ndarray, " rows"]:
    """Return the error on each frame of the fit to all others: exact for a linear model."""
    errors = np.empty(len(alpha))
    for frame in np.unique(rows.frame):
        here = np.flatnonzero(rows.frame == frame)
        block = inverse[np.ix_(here, here)]
        errors[here] = scipy.linalg.solve(block, alpha[here], assume_a="pos")
    return errors


class Score(NamedTuple):
    """Root mean square errors.

    Args:
        energy: in eV.
        forces: in eV/Å per component (or per direction).
    """

    energy: float
    forces: float

    @property
    def together(self) -> float:
        """One number to choose by: both errors count by their ratio."""
        parts = [one for one in (self.energy, self.forces) if np.isfinite(one)]
        return float(np.mean(np.log(np.maximum(parts, 1e-9))))


def score(rows: Rows, errors: Float[np.ndarray, " rows"]) -> Score:
    """Return the errors of rows as root mean squares; NaN where there is no row of a kind."""
    rms = lambda some: float(np.sqrt(np.mean(np.square(some)))) if len(some) else float("nan")  # noqa: E731
    return Score(rms(errors[rows.is_energy]), rms(errors[~rows.is_energy]))


def best_factor(gram: Gram, factors: Sequence[float]) -> tuple[float, Score]:
    """Return the scale of the prior that predicts left-out frames best, and how well."""
    tried = [(score(gram.rows, gram.fit(factor).left_out), factor) for factor in factors]
    best, factor = min(tried, key=lambda pair: pair[0].together)
    return factor, best

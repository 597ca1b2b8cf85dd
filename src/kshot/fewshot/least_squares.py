"""Adaptation in closed form: a linearised model, a Gaussian prior over its parameters, K labels.

    prediction = f(θ) + J δ + c·s        δ ~ N(0, V),  s ~ N(0, S²) a shift per element
    C = J V Jᵀ + S² c cᵀ + Σ             Σ: noise of energies and of forces
    δ = −V Jᵀ C⁻¹ r                      r: prediction less label at θ

The same algebra as `kshot.meta.rules.gauss_newton` in its dual form, with what that rule leaves
out: leave-one-out errors in closed form, so that strengths are chosen inside the K labels, and
anchors: rows that ask the model to stay what it was, elsewhere.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int

from kshot.fewshot.jacobian import Jacobian, Rows, joined, products, rows_at, sums

ROUNDING = (1e-6, 1e-5, 1e-4)  # of the largest variance: the first to leave C positive definite
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

    def noise(self, rows: Rows) -> Float[np.ndarray, " rows"]:
        """Return the variance of each row's label."""
        atoms = rows.counts.sum(1)[rows.frame]
        return np.where(rows.is_energy, self.energy_noise**2 * atoms, self.force_noise**2)


class Fit(NamedTuple):
    """What the labels teach.

    Args:
        move: δ, of flat parameters.
        shifts: s of each of the potential's elements, in eV.
    """

    move: Float[np.ndarray, " params"]
    shifts: Float[np.ndarray, " kinds"]


@dataclass(frozen=True, eq=False)
class Gram:
    """A linear problem, its products taken; other scales of its prior cost little. See `gram`.

    Args:
        rows: labelled.
        jacobian: of these and then of the anchors.
        variance: of the parameters.
        product: J V Jᵀ, in float64.
        shifted: how the shifts of elements enter each row.
        noise: variance of each row.
    """

    rows: Rows
    jacobian: Jacobian
    variance: Float[np.ndarray, " params"]
    product: Float[np.ndarray, "all all"]
    shifted: Float[np.ndarray, "all kinds"]
    noise: Float[np.ndarray, " all"]

    def of(self, frames: Sequence[int] | np.ndarray) -> Gram:
        """Return the problem of some of the labelled frames, and of all anchors."""
        keep = np.concatenate(
            [places(self.rows, frames), np.arange(len(self.rows.frame), len(self.noise))]
        )
        return replace(
            self,
            rows=self.rows.of(frames),
            jacobian=rows_at(self.jacobian, keep),
            product=self.product[np.ix_(keep, keep)],
            shifted=self.shifted[keep],
            noise=self.noise[keep],
        )

    def solve(self, factor: float = 1.0) -> Solved:
        """Return the solution for the prior's variances times a factor."""
        for rounding in ROUNDING[:-1]:
            with contextlib.suppress(np.linalg.LinAlgError):
                return self._solved(factor, rounding)
        return self._solved(factor, ROUNDING[-1])

    def _solved(self, factor: float, relative_rounding: float) -> Solved:
        labelled = len(self.rows.frame)
        # products are taken in float32: what is below their rounding is no information.
        rounding = relative_rounding * factor * self.product.diagonal().max(initial=0.0)
        noise = self.noise + rounding
        covariance = factor * self.product[:labelled, :labelled]
        covariance += SHIFT**2 * (self.shifted[:labelled] @ self.shifted[:labelled].T)
        covariance[np.diag_indices(labelled)] += noise[:labelled]
        # anchors have no residuals, so they are eliminated: what is left to invert is a third.
        between = factor * self.product[labelled:, :labelled]
        among = factor * self.product[labelled:, labelled:]
        among[np.diag_indices_from(among)] += noise[labelled:]
        lower = scipy.linalg.cholesky(among, lower=True, overwrite_a=True, check_finite=False)
        half = scipy.linalg.solve_triangular(lower, between, lower=True, check_finite=False)
        covariance -= half.T @ half
        return Solved(self, factor, covariance, _inverse(covariance), lower, half)


@dataclass(frozen=True, eq=False)
class Solved:
    """A linear problem solved for one scale of its prior: any fit from it costs little.

    Args:
        problem: what was solved.
        factor: of the prior's variances.
        covariance: of the labelled rows, given that anchors stay.
        inverse: of that; the labelled rows' block of C⁻¹.
        lower: Cholesky factor of the anchors' block of C.
        half: its inverse times the block between anchors and labelled rows.
        blocks: Cholesky factors of blocks of the inverse, by the rows that fits have left out.
    """

    problem: Gram
    factor: float
    covariance: Float[np.ndarray, "rows rows"]
    inverse: Float[np.ndarray, "rows rows"]
    lower: Float[np.ndarray, "anchors anchors"]
    half: Float[np.ndarray, "anchors rows"]
    blocks: dict[bytes, np.ndarray] = field(default_factory=dict, repr=False)

    @functools.cached_property
    def pull(self) -> Float[np.ndarray, "anchors rows"]:
        """Multipliers of anchors, from those of labelled rows; errors left out do without them."""
        return -scipy.linalg.solve_triangular(
            self.lower, self.half, lower=True, trans=1, check_finite=False
        )

    def multipliers(
        self,
        residuals: Float[np.ndarray, "#several rows"],
        without: Sequence[Sequence[int] | np.ndarray],
    ) -> Float[np.ndarray, "several all"]:
        """Return the multipliers α of several fits, of labelled rows and then of anchors.

        Args:
            residuals: of the labelled rows, one row for each fit, or one for all; their own, or
                what takes their place in a later Gauss-Newton step.
            without: frames that each fit leaves out, as if they had no labels.
        """
        alphas = np.repeat(residuals @ self.inverse, len(without) // len(residuals), axis=0)
        for alpha, frames in zip(alphas, without, strict=True):
            if len(frames):
                # what is left out has no multiplier in the fit to the rest.
                gone = places(self.problem.rows, frames)
                alpha -= self._errors(gone, alpha) @ self.inverse[gone]
                alpha[gone] = 0
        return np.concatenate([alphas, alphas @ self.pull.T], axis=1)

    def fits(self, multipliers: Float[np.ndarray, "several all"]) -> list[Fit]:
        """Return several fits at once: each reads all derivatives, and so they do that together."""
        problem = self.problem
        moves = sums(problem.jacobian, multipliers)
        shifts = multipliers @ problem.shifted
        return [
            Fit(-self.factor * problem.variance * move, -(SHIFT**2) * shift)
            for move, shift in zip(moves, shifts, strict=True)
        ]

    def changes(
        self, multipliers: Float[np.ndarray, "several all"]
    ) -> Float[np.ndarray, "several rows"]:
        """Return J δ of several fits on the labelled rows; no derivative is read."""
        labelled = self.problem.product[:, : len(self.problem.rows.frame)]
        return -self.factor * multipliers @ labelled

    @functools.cached_property
    def linear(self) -> Score:
        """The errors on frames left out one at a time, if the model were linear."""
        return score(self.problem.rows, self.left_out())

    def left_out(self) -> Float[np.ndarray, " rows"]:
        """Return the error on each frame of the fit to all others: exact for a linear model."""
        rows = self.problem.rows
        return _left_out(self.inverse, rows.residual, rows.frame)

    def score_of(self, frames: Sequence[int] | np.ndarray) -> Score:
        """Return errors left out as if these frames were all that is labelled.

        The anchors are eliminated already, whatever is labelled: a part costs its inverse only.
        """
        rows = self.problem.rows
        keep = places(rows, frames)
        inverse = _inverse(self.covariance[np.ix_(keep, keep)])
        errors = _left_out(inverse, rows.residual[keep], rows.frame[keep])
        return _score(rows.is_energy[keep], errors)

    def _errors(
        self, gone: Int[np.ndarray, " left"], alpha: Float[np.ndarray, " rows"]
    ) -> Float[np.ndarray, " left"]:
        """Return the errors on rows of the fit to all others; every step asks for the same rows."""
        key = gone.tobytes()
        if key not in self.blocks:
            block = self.inverse[np.ix_(gone, gone)]
            self.blocks[key] = scipy.linalg.cholesky(block, lower=True, check_finite=False)
        return scipy.linalg.cho_solve((self.blocks[key], True), alpha[gone], check_finite=False)


def gram(rows: Rows, prior: Prior, anchors: Rows | None = None, keep: float = 1.0) -> Gram:
    """Return the linear problem of labelled rows under one prior; see `grams`."""
    return grams(rows, {"": prior}, anchors, keep)[""]


def grams(
    rows: Rows, priors: Mapping[str, Prior], anchors: Rows | None = None, keep: float = 1.0
) -> dict[str, Gram]:
    """Return the linear problems of labelled rows under several priors, which share the Jacobian.

    Args:
        rows: labelled.
        priors: what is known before, by name.
        anchors: rows on which predictions are to stay what they are; their residuals are ignored.
        keep: how strongly, against labels of equal noise; 0 leaves anchors out.
    """
    if keep <= 0:
        anchors = None
    jacobian = rows.jacobian
    shifted = np.where(rows.is_energy[:, None], rows.counts[rows.frame], 0)
    if anchors is not None:
        jacobian = joined(jacobian, anchors.jacobian)
        # a shift between levels of theory is none of the anchors' business.
        shifted = np.concatenate([shifted, np.zeros((len(anchors.frame), shifted.shape[1]))])
    of_each = products(jacobian, [prior.variance for prior in priors.values()])
    problems = {}
    for (name, prior), product in zip(priors.items(), of_each, strict=True):
        noise = prior.noise(rows)
        if anchors is not None:
            noise = np.concatenate([noise, prior.noise(anchors) / keep])
        problems[name] = Gram(rows, jacobian, prior.variance, product, shifted, noise)
    return problems


def places(rows: Rows, frames: Sequence[int] | np.ndarray) -> Int[np.ndarray, " some"]:
    """Return where the rows of some frames are, frame by frame."""
    return np.concatenate([np.flatnonzero(rows.frame == frame) for frame in frames])


def _left_out(
    inverse: Float[np.ndarray, "rows rows"],
    residual: Float[np.ndarray, " rows"],
    frame: Int[np.ndarray, " rows"],
) -> Float[np.ndarray, " rows"]:
    """Return the error on each frame of the fit to all others."""
    alpha, errors = inverse @ residual, np.empty(len(frame))
    for number in np.unique(frame):
        gone = np.flatnonzero(frame == number)
        errors[gone] = _block_errors(inverse, gone, alpha)
    return errors


def _block_errors(
    inverse: Float[np.ndarray, "rows rows"],
    gone: Int[np.ndarray, " left"],
    alpha: Float[np.ndarray, " rows"],
) -> Float[np.ndarray, " left"]:
    """Return the errors on rows of the fit to all others, from that fit's multipliers."""
    block = inverse[np.ix_(gone, gone)]
    return scipy.linalg.solve(block, alpha[gone], assume_a="pos")


def _inverse(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """Return the inverse of a positive definite matrix; half the work of a general one."""
    factor, _ = scipy.linalg.cho_factor(matrix, lower=True, check_finite=False)
    (potri,) = scipy.linalg.get_lapack_funcs(("potri",), (factor,))
    inverse, problem = potri(factor, lower=True, overwrite_c=True)
    if problem:
        raise np.linalg.LinAlgError(f"potri: {problem}")
    lower = np.tril(inverse)
    return lower + np.tril(inverse, -1).T


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
        parts = [error for error in self if np.isfinite(error)]
        return float(np.mean(np.log(np.maximum(parts, 1e-9))))


def score(rows: Rows, errors: Float[np.ndarray, " rows"]) -> Score:
    """Return the errors of rows as root mean squares; NaN where there is no row of a kind."""
    return _score(rows.is_energy, errors)


def _score(is_energy: np.ndarray, errors: Float[np.ndarray, " rows"]) -> Score:
    return Score(_root_mean_square(errors[is_energy]), _root_mean_square(errors[~is_energy]))


def _root_mean_square(errors: Float[np.ndarray, " some"]) -> float:
    return float(np.sqrt(np.mean(np.square(errors)))) if len(errors) else float("nan")

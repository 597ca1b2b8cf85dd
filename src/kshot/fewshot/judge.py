"""How good one method is: cross-validation inside the K labels, by the true model.

Every fit to a part of the labels comes from one solution of the whole problem, so that folds,
steps and leave-one-out cost one matrix inverse for each scale of the prior.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Float, PyTree

from kshot.core.seeds import named_generator
from kshot.core.side_by_side import side_by_side
from kshot.fewshot.jacobian import Rows
from kshot.fewshot.least_squares import Fit, Gram, Score, Solved, places, score
from kshot.fewshot.methods import STEPS, Method, moved
from kshot.fewshot.scales import CLEARLY, promising
from kshot.potentials.compare import RIDGE
from kshot.potentials.model import Model
from kshot.potentials.model_predict import Prepared, prepare
from kshot.potentials.packed import Piece

FOLDS = 5
LOST = 1e3  # eV, eV/Å: what a prediction is off by that is not finite; no other method is so wrong
MOST_SCALES = 6  # of a prior, that the true model is asked about
PATIENCE = 2  # steps that together gain less than this of the logarithm of the errors are the last
GAIN = 0.01
FAR = 0.5  # of that logarithm: what the linear model promises, and the true model does not reach
TRIED_STEPS = 3  # to all labels: the first one may overshoot where the third has come back
HOPELESS = 1.0  # of the logarithm of the errors, over the start's


class Candidate(NamedTuple):
    """What cross-validation inside the K labels says of one method.

    Args:
        method: which.
        factor: of its prior's variances, chosen by leave-one-out and by cross-validation.
        steps: of Gauss-Newton, chosen by cross-validation.
        error: of frames left out, by the true (not the linearised) model. The least of many
            scales, steps and methods: what to choose by, but too small as a promise; see
            `kshot.fewshot.expected`.
    """

    method: Method
    factor: float
    steps: int
    error: Score

    @property
    def limits(self) -> tuple[str, ...]:
        """Which guards of the search were hit: a better choice may lie beyond them."""
        ends = (min(self.method.factors), max(self.method.factors))
        reached = {
            "scale": ends[0] < ends[1] and self.factor in ends,
            "steps": 1 < self.method.steps == self.steps and len(self.method.factors) > 1,
        }
        return tuple(name for name, hit in reached.items() if hit)


class Judged(NamedTuple):
    """A method's candidate, and the linear problem solved for the scale it chose."""

    candidate: Candidate
    solved: Solved


@runtime_checkable
class Rule(Protocol):
    """A way to adapt that is no linear problem: it moves by steps of its own."""

    @property
    def method(self) -> Method:
        """How it is told of among the ways to adapt."""
        ...

    def fits(
        self, some: Shots, folds: Sequence[Sequence[int] | np.ndarray]
    ) -> Iterator[list[tuple[Fit, Float[np.ndarray, " rows"]]]]:
        """Yield once: fits that leave out each fold, and the true residuals less shifts."""
        ...


@dataclass(frozen=True, eq=False)
class Shots:
    """The K labelled frames, ready to be predicted again and again by models of one potential.

    Args:
        start: the model they adapt.
        frames: with their labels.
        prepared: the same for prediction.
        rows: the start linearised on them.
    """

    start: Model
    frames: tuple[Piece, ...]
    prepared: Prepared
    rows: Rows

    def residuals(self, move: Float[np.ndarray, " params"]) -> Float[np.ndarray, " rows"]:
        """Return the moved model's prediction less label, without shifts, in the rows' order."""
        own, predicted = self.rows, self.prepared.predict(moved(self.start.params, move))
        out = np.empty(len(own.frame))
        for place, (one, (energy, forces)) in enumerate(zip(self.frames, predicted, strict=True)):
            here = own.frame == place
            out[here & own.is_energy] = energy - one.energy
            along = np.einsum("mac,ac->m", own.ways[place], forces - one.forces)
            if np.isfinite(one.forces).all():
                out[here & ~own.is_energy] = along
        return np.nan_to_num(out, nan=LOST, posinf=LOST, neginf=-LOST)


def shots(start: Model, frames: Sequence[Piece], rows: Rows) -> Shots:
    """Return labelled frames ready to be predicted."""
    prepared = prepare(start.potential, [one.graph for one in frames])
    return Shots(start, tuple(frames), prepared, rows)


def judged(some: Shots, method: Method, problem: Gram, seed: int) -> Judged:
    """Return a method's error on frames left out, its options chosen inside.

    Leave-one-out of the linearised model says which scale of the prior to begin with;
    cross-validation of the true model goes down from there as long as that helps, or as long as
    nothing is better than the start, and chooses the number of steps. A scale is too large, and
    not cross-validated, if steps to all labels leave the true model worse on these than the start
    is; it is too small, and ends the search, if even the linear model does clearly worse. That
    model is an optimist, so far as it has been one at the best scale.
    """
    folds = folds_of(len(some.frames), seed)
    unmoved = shifted_only(some, folds).together
    best: Judged | None = None
    scales = bearable(some, promising(problem, method.factors))
    for solved in itertools.islice(scales, MOST_SCALES):
        reached = unmoved if best is None else min(unmoved, best.candidate.error.together)
        optimist = best is not None and best.solved.linear.together < reached < unmoved
        if optimist and solved.linear.together > reached + CLEARLY:
            break
        errors = cross_validated(some, folds, fits(some, solved, method.steps, folds))
        steps = min(range(len(errors)), key=lambda step: errors[step].together)
        candidate = Candidate(method, solved.factor, steps + 1, errors[steps])
        if best is None or candidate.error.together < best.candidate.error.together:
            best = Judged(candidate, solved)
        near = solved.linear.together > reached - FAR
        if reached < unmoved and candidate.error.together > reached - (GAIN if near else 0.0):
            break
    assert best is not None, "a method without factors"
    return best


def bearable(some: Shots, scales: Iterator[Solved]) -> Iterator[Solved]:
    """Leave out the scales, from the largest on, that overshoot; the last one is kept.

    A scale overshoots if a few steps to all labels leave the true model worse on them than the
    start is. To see that costs a prediction of each frame a step, cross-validation five.
    """
    rows = some.rows
    start = score(rows, rows.residual + shifted_by(rows, unmoved_fit(some))).together
    solved, within = None, False
    for solved in scales:
        if not within:
            path = itertools.islice(steps_of(some, solved), TRIED_STEPS)
            errors = itertools.takewhile(lambda error: error < start + HOPELESS, path)
            within = len(reached := list(errors)) == TRIED_STEPS and reached[-1] < start + GAIN
        if within:
            yield solved
    if solved is not None and not within:
        yield solved


def steps_of(some: Shots, solved: Solved) -> Iterator[float]:
    """Yield the true model's error on all labels after each step to all of them."""
    for [(fit, true)] in fits(some, solved, STEPS, [()]):
        yield score(some.rows, true + shifted_by(some.rows, fit)).together


def shifted_only(some: Shots, folds: Sequence[np.ndarray]) -> Score:
    """Return the start's errors on frames left out, its energies shifted by the others."""
    rows = some.rows
    errors = np.full(len(rows.frame), np.nan)
    for fold in folds:
        left = places(rows, fold)
        errors[left] = (rows.residual + shifted_by(rows, unmoved_fit(some, fold)))[left]
    return score(rows, errors)


def unmoved_fit(some: Shots, without: Sequence[int] | np.ndarray = ()) -> Fit:
    """Return the fit that moves nothing but the shifts, to all labels or without some frames."""
    rows = some.rows
    still = Fit(np.zeros(rows.jacobian.shape[1]), np.zeros(rows.counts.shape[1]))
    kept = np.setdiff1d(np.arange(len(some.frames)), without)
    return with_shifts(rows, still, rows.residual, kept)


def folds_of(count: int, seed: int) -> list[np.ndarray]:
    """Return which frames are left out together."""
    order = named_generator(seed, "folds").permutation(count)
    return np.array_split(order, min(FOLDS, count))


def cross_validated(
    some: Shots,
    folds: Sequence[np.ndarray],
    steps: Iterator[list[tuple[Fit, Float[np.ndarray, " rows"]]]],
) -> list[Score]:
    """Return the true model's errors on frames left out, after each step that still helps.

    Args:
        some: the labelled frames.
        folds: which of them each fit of a step leaves out.
        steps: fits and the true model's residuals less shifts, of one step after another.
    """
    scores: list[Score] = []
    for found in steps:
        errors = np.full(len(some.rows.frame), np.nan)
        for fold, (fit, residual) in zip(folds, found, strict=True):
            left = places(some.rows, fold)
            errors[left] = (residual + shifted_by(some.rows, fit))[left]
        scores.append(score(some.rows, errors))
        values = [entry.together for entry in scores]
        if len(values) > PATIENCE and min(values[-PATIENCE:]) > min(values[:-PATIENCE]) - GAIN:
            break
    return scores


def fits(
    some: Shots, solved: Solved, steps: int, folds: Sequence[Sequence[int] | np.ndarray]
) -> Iterator[list[tuple[Fit, Float[np.ndarray, " rows"]]]]:
    """Yield, after each Gauss-Newton step, fits and the true model's residuals less shifts.

    All steps use the Jacobian of the start.

    Args:
        some: the labelled frames.
        solved: the problem, for one scale of the prior.
        steps: how many.
        folds: which frames each fit leaves out.
    """
    every = np.arange(len(some.frames))
    multipliers = solved.multipliers(some.rows.residual[None], folds)
    for number in range(steps):
        found = solved.fits(multipliers)
        true = side_by_side([functools.partial(some.residuals, one.move) for one in found])
        yield [
            (with_shifts(some.rows, one, here, np.setdiff1d(every, fold)), here)
            for one, here, fold in zip(found, true, folds, strict=True)
        ]
        if number + 1 < steps:
            left = np.stack(true) - solved.changes(multipliers)
            multipliers = solved.multipliers(left, folds)


def learned(
    some: Shots,
    folds: Sequence[Sequence[int] | np.ndarray],
    learn: Callable[[np.ndarray], PyTree],
) -> list[tuple[Fit, Float[np.ndarray, " rows"]]]:
    """Return fits that leave out each fold, and the true residuals less shifts.

    Args:
        some: the labelled frames.
        folds: which of them each fit leaves out.
        learn: what gives the parameters for those that are kept.
    """
    start, every = some.start, np.arange(len(some.frames))
    origin = ravel_pytree(start.params)[0]
    still = np.zeros(len(start.potential.elements))

    def one(fold: Sequence[int] | np.ndarray) -> tuple[Fit, Float[np.ndarray, " rows"]]:
        kept = np.setdiff1d(every, fold)
        move = np.asarray(ravel_pytree(learn(kept))[0] - origin, np.float64)
        here = some.residuals(move)
        return with_shifts(some.rows, Fit(move, still), here, kept), here

    return side_by_side([functools.partial(one, fold) for fold in folds])


def shifted_by(rows: Rows, found: Fit) -> Float[np.ndarray, " rows"]:
    """Return what a fit's shifts of elements add to each row."""
    return np.where(rows.is_energy, rows.counts[rows.frame] @ found.shifts, 0.0)


def with_shifts(rows: Rows, found: Fit, here: Float[np.ndarray, " rows"], kept: np.ndarray) -> Fit:
    """Return the fit with the shifts that the true model needs: it is not quite linear."""
    energies = rows.is_energy & np.isin(rows.frame, kept)
    counts = rows.counts[rows.frame[energies]]
    atoms = counts.sum(1, keepdims=True)
    off = (here + shifted_by(rows, found))[energies] / atoms[:, 0]
    normal = (counts / atoms).T @ (counts / atoms) + RIDGE * np.eye(counts.shape[1])
    more = -np.linalg.solve(normal, (counts / atoms).T @ off)
    return found._replace(shifts=found.shifts + more)

"""Adapters in closed form: one linearised model, one prior whose scale is chosen inside the K.

Every fit to a part of the labels comes from one solution of the whole problem, so that folds,
steps and leave-one-out cost one matrix inverse for each scale of the prior.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from kshot.core.side_by_side import side_by_side
from kshot.fewshot.adapters.base import Adapter, Candidate, Judged, Problem
from kshot.fewshot.folds import GAIN, Fitted, Fold, cross_validated, shifted_only
from kshot.fewshot.jacobian import Rows
from kshot.fewshot.least_squares import Prior, Solved, score
from kshot.fewshot.priors import noises_of
from kshot.fewshot.scales import CLEARLY, promising
from kshot.fewshot.shots import Shots, shifted_by, unmoved_fit, with_shifts
from kshot.potentials.model import Model

STEPS = 40  # a guard: they end when they stop helping. All use the Jacobian of the start, so that
# each costs predictions only
SCALES = tuple(10.0**power for power in range(-8, 5))  # guards at both ends; the search is local
MOST_SCALES = 6  # of a prior, that the true model is asked about
FAR = 0.5  # of the logarithm of the errors: what the linear model promises, and the true one lacks
TRIED_STEPS = 3  # to all labels: the first one may overshoot where the third has come back
HOPELESS = 1.0  # of the logarithm of the errors, over the start's

Variance = Callable[[Model, Rows], Float[np.ndarray, " params"]]
"""Of each parameter, for a model that is linearised on labelled frames."""


@dataclass(frozen=True)
class Linear(Adapter):
    """Gauss-Newton with a prior; parameters whose variance is zero are held still.

    Args:
        name: of it.
        title: of it, in tables.
        variance: of each parameter, see `kshot.fewshot.priors`.
        baseline: whether it is a plain way.
        tried: for which starts, if nothing is asked for.
        factors: scales of the variances to choose from; both ends are guards, far from what is
            chosen.
        steps: of Gauss-Newton, at most; more than one only where the model is not linear.
    """

    name: str
    title: str
    variance: Variance
    baseline: bool = True
    tried: Callable[[Model], bool] = lambda _: True
    factors: tuple[float, ...] = SCALES
    steps: int = STEPS

    def competes(self, start: Model) -> bool:
        """Return whether it is tried for a start if nothing is asked for."""
        return self.tried(start)

    def prior(self, start: Model, rows: Rows) -> Prior:
        """Return its prior for a model that is linearised on labelled frames."""
        return Prior(self.variance(start, rows), **noises_of(start))

    def limits(self, candidate: Candidate) -> tuple[str, ...]:
        """Return whether the scale is an end of its grid, or there are the most steps."""
        if len(self.factors) == 1:
            return ()
        scale = candidate.factor in (min(self.factors), max(self.factors))
        steps = 1 < self.steps == candidate.steps
        return (*["scale"] * scale, *["steps"] * steps)

    def judge(self, problem: Problem) -> Judged:
        """Return its error on frames left out, scale and steps chosen inside.

        Leave-one-out of the linearised model says which scale of the prior to begin with;
        cross-validation of the true model goes down from there as long as that helps, or as long
        as nothing is better than the start, and chooses the number of steps. A scale is too large,
        and not cross-validated, if steps to all labels leave the true model worse on these than
        the start is; it is too small, and ends the search, if even the linear model does clearly
        worse. That model is an optimist, so far as it has been one at the best scale.
        """
        assert problem.gram is not None, "a linear adapter without its problem"
        shots, folds = problem.shots, [np.asarray(fold) for fold in problem.folds]
        unmoved = shifted_only(shots, folds).together
        best: tuple[Candidate, Solved] | None = None
        scales = bearable(shots, promising(problem.gram, self.factors))
        for solved in itertools.islice(scales, MOST_SCALES):
            reached = unmoved if best is None else min(unmoved, best[0].error.together)
            optimist = best is not None and best[1].linear.together < reached < unmoved
            if optimist and solved.linear.together > reached + CLEARLY:
                break
            errors = cross_validated(shots, folds, steps_of(shots, solved, self.steps, folds))
            steps = min(range(len(errors)), key=lambda step: errors[step].together)
            candidate = Candidate(self, solved.factor, steps + 1, errors[steps])
            if best is None or candidate.error.together < best[0].error.together:
                best = candidate, solved
            near = solved.linear.together > reached - FAR
            if reached < unmoved and candidate.error.together > reached - (GAIN if near else 0.0):
                break
        assert best is not None, "an adapter without factors"
        return Judged(*best)

    def fits(
        self, problem: Problem, judged: Judged, folds: Sequence[Fold]
    ) -> Iterator[list[Fitted]]:
        """Yield fits after each step; the problem is solved anew if its solution was let go."""
        assert problem.gram is not None, "a linear adapter without its problem"
        candidate = judged.candidate
        solved = judged.solved or problem.gram.solve(candidate.factor)
        return steps_of(problem.shots, solved, candidate.steps, folds)


def steps_of(
    shots: Shots, solved: Solved, steps: int, folds: Sequence[Fold]
) -> Iterator[list[Fitted]]:
    """Yield fits after each Gauss-Newton step, all of which use the Jacobian of the start.

    Args:
        shots: the labelled frames.
        solved: the problem, for one scale of the prior.
        steps: how many.
        folds: which frames each fit leaves out.
    """
    every = np.arange(len(shots.frames))
    multipliers = solved.multipliers(shots.rows.residual[None], folds)
    for number in range(steps):
        fits = solved.fits(multipliers)
        true = side_by_side([functools.partial(shots.residuals, fit.move) for fit in fits])
        yield [
            Fitted(with_shifts(shots.rows, fit, residual, np.setdiff1d(every, fold)), residual)
            for fit, residual, fold in zip(fits, true, folds, strict=True)
        ]
        if number + 1 < steps:
            left = np.stack(true) - solved.changes(multipliers)
            multipliers = solved.multipliers(left, folds)


def bearable(shots: Shots, scales: Iterator[Solved]) -> Iterator[Solved]:
    """Leave out the scales, from the largest on, that overshoot; the last one is kept.

    A scale overshoots if a few steps to all labels leave the true model worse on them than the
    start is. To see that costs a prediction of each frame a step, cross-validation five.
    """
    rows = shots.rows
    start = score(rows, rows.residual + shifted_by(rows, unmoved_fit(shots))).together
    solved, within = None, False
    for solved in scales:
        if not within:
            path = itertools.islice(errors_on_the_way(shots, solved), TRIED_STEPS)
            errors = itertools.takewhile(lambda error: error < start + HOPELESS, path)
            within = len(reached := list(errors)) == TRIED_STEPS and reached[-1] < start + GAIN
        if within:
            yield solved
    if solved is not None and not within:
        yield solved


def errors_on_the_way(shots: Shots, solved: Solved) -> Iterator[float]:
    """Yield the true model's error on all labels after each step to all of them."""
    for [(fit, residual)] in steps_of(shots, solved, STEPS, [()]):
        yield score(shots.rows, residual + shifted_by(shots.rows, fit)).together

"""Adapters that are no linear problem: they move by steps of their own."""

from __future__ import annotations

import abc
import functools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from kshot.core.side_by_side import side_by_side
from kshot.fewshot.adapters.base import Adapter, Candidate, Judged, Problem
from kshot.fewshot.folds import Fitted, Fold, cross_validated
from kshot.fewshot.least_squares import Fit
from kshot.fewshot.shots import Shots, with_shifts

Learn = Callable[[np.ndarray], PyTree]
"""From frames that are kept to parameters."""


class Stepwise(Adapter):
    """An adapter that is told which frames to learn from, and gives parameters."""

    steps: int

    @abc.abstractmethod
    def learner(self, problem: Problem) -> Learn:
        """Return what gives the parameters for frames that are kept."""

    def judge(self, problem: Problem) -> Judged:
        """Return its error on frames left out."""
        folds = [np.asarray(fold) for fold in problem.folds]
        steps = [learned(problem.shots, folds, self.learner(problem))]
        (error,) = cross_validated(problem.shots, folds, steps)
        return Judged(Candidate(self, 1.0, self.steps, error), None)

    def fits(
        self, problem: Problem, judged: Judged, folds: Sequence[Fold]
    ) -> Iterator[list[Fitted]]:
        """Yield once: fits that leave out each fold."""
        del judged
        yield learned(problem.shots, folds, self.learner(problem))


def learned(shots: Shots, folds: Sequence[Fold], learn: Learn) -> list[Fitted]:
    """Return fits that leave out each fold.

    Args:
        shots: the labelled frames.
        folds: which of them each fit leaves out.
        learn: what gives the parameters for those that are kept.
    """
    start, every = shots.start, np.arange(len(shots.frames))
    origin = ravel_pytree(start.params)[0]
    still = np.zeros(len(start.potential.elements))

    def fitted(fold: Fold) -> Fitted:
        kept = np.setdiff1d(every, fold)
        move = np.asarray(ravel_pytree(learn(kept))[0] - origin, np.float64)
        residual = shots.residuals(move)
        return Fitted(with_shifts(shots.rows, Fit(move, still), residual, kept), residual)

    return side_by_side([functools.partial(fitted, fold) for fold in folds])

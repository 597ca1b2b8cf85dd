"""What a way to adapt has to be: the chooser asks nothing else of it, and knows none by name."""

from __future__ import annotations

import abc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kshot.fewshot.folds import Fitted, Fold, folds_of
from kshot.fewshot.jacobian import Rows
from kshot.fewshot.least_squares import Fit, Gram, Prior, Score, Solved
from kshot.fewshot.shots import Shots
from kshot.potentials.model import Model


@dataclass(frozen=True, eq=False)
class Problem:
    """What an adapter is handed.

    Args:
        shots: the K labelled frames.
        gram: the linear problem under the adapter's prior; None if it has none.
        seed: of folds.
        say: called with the adapter's name when a part of its work is done, see `Adapter.parts`.
    """

    shots: Shots
    gram: Gram | None
    seed: int
    say: Callable[[str], None] = lambda _: None

    @property
    def folds(self) -> list[Fold]:
        """Which frames are left out together."""
        return [*folds_of(len(self.shots.frames), self.seed)]


class Candidate(NamedTuple):
    """What cross-validation inside the K labels says of one adapter.

    Args:
        method: which.
        factor: of its prior's variances, chosen by leave-one-out and by cross-validation; 1 where
            there is no prior.
        steps: chosen by cross-validation.
        error: of frames left out, by the true (not the linearised) model. The least of many
            scales, steps and methods: what to choose by, but too small as a promise; see
            `kshot.fewshot.expected`.
    """

    method: Adapter
    factor: float
    steps: int
    error: Score

    @property
    def limits(self) -> tuple[str, ...]:
        """Which guards of the search were hit: a better choice may lie beyond them."""
        return self.method.limits(self)


class Judged(NamedTuple):
    """An adapter's candidate, and the linear problem solved for the scale it chose, if any."""

    candidate: Candidate
    solved: Solved | None


class Adapter(abc.ABC):
    """A way from a start and K labels to adapted parameters.

    Attributes:
        name: of it, in options.
        title: of it, in tables.
        baseline: whether it is one of the plain ways that meta-learning has to beat.
        fewest: labels that it needs.
        thorough: whether it takes minutes, not seconds, and so has to be asked for.
    """

    name: str
    title: str
    baseline: bool
    fewest: int = 2
    thorough: bool = False

    def of(self, start: Model) -> Adapter | None:
        """Return what adapts a start: itself, or what the start brings; None if it brings none.

        Raises:
            UnknownNameError: the start brings something that is not known here.
        """
        del start
        return self

    @abc.abstractmethod
    def competes(self, start: Model) -> bool:
        """Return whether it is tried for a start if nothing is asked for."""

    def parts(self, labels: int) -> int:
        """Return how often it says that a part of its work is done, of so many labels."""
        del labels
        return 1

    def prior(self, start: Model, rows: Rows) -> Prior | None:
        """Return the prior of its linear problem; None if it is none. No label is looked at."""
        del start, rows
        return None

    def limits(self, candidate: Candidate) -> tuple[str, ...]:
        """Return which guards of its search a candidate has hit."""
        del candidate
        return ()

    @abc.abstractmethod
    def judge(self, problem: Problem) -> Judged:
        """Return how good it is on frames left out, its options chosen inside the K."""

    @abc.abstractmethod
    def fits(
        self, problem: Problem, judged: Judged, folds: Sequence[Fold]
    ) -> Iterator[list[Fitted]]:
        """Yield fits that leave out each fold, step by step, up to the one that was chosen."""

    def fit(self, problem: Problem, judged: Judged) -> Fit:
        """Return the fit to all labels, in the way that was chosen."""
        *_, [fitted] = self.fits(problem, judged, [()])
        return fitted.fit

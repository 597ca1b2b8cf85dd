"""Fine-tuning: the plain baseline that moves all parameters by gradient steps, to convergence.

It takes minutes where the closed forms take seconds, and wins where the start is so far off that a
linear model of it says little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, PyTree

from kshot.fewshot.descent import Descent, Recipe
from kshot.fewshot.judge import Shots, learned
from kshot.fewshot.least_squares import Fit
from kshot.fewshot.methods import FINETUNE, stepwise

RECIPE = Recipe(rate=1e-2, energy_weight=100.0)  # the rate is chosen anew, inside the K
FEWEST = 5  # frames: a fold leaves one out, two are set aside, two are trained on


@dataclass(frozen=True, eq=False)
class FineTune:
    """Fine-tuning as one of the ways to adapt, beside the closed forms.

    Args:
        told: called after each fit that leaves frames out.
    """

    told: Callable[[str], None] = lambda _: None
    method = stepwise(FINETUNE, 1, baseline=True)

    def fits(
        self, some: Shots, folds: Sequence[Sequence[int] | np.ndarray]
    ) -> Iterator[list[tuple[Fit, Float[np.ndarray, " rows"]]]]:
        """Yield once: fits that leave out each fold, and the true residuals less shifts."""
        start = some.start
        descent = Descent(start.potential, some.frames, start.dtype)

        def learn(kept: np.ndarray) -> PyTree:
            frames = [some.frames[i] for i in kept]
            recipe = descent.with_best_rate(start.params, frames, RECIPE)
            run = descent.converged(start.params, frames, recipe)
            if len(kept) < len(some.frames):
                self.told(FINETUNE)
            return run.params

        yield learned(some, folds, learn)

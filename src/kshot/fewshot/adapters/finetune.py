"""Fine-tuning: the plain baseline that moves all parameters by gradient steps, to convergence.

It takes minutes where the closed forms take seconds, and wins where the start is so far off that a
linear model of it says little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import PyTree

from kshot.fewshot.adapters.base import Problem
from kshot.fewshot.adapters.stepwise import Learn, Stepwise
from kshot.fewshot.descent import Descent, Recipe
from kshot.fewshot.folds import FOLDS
from kshot.potentials.model import Model

RECIPE = Recipe(rate=1e-2, energy_weight=100.0)  # the rate is chosen anew, inside the K


@dataclass(frozen=True)
class FineTune(Stepwise):
    """Fine-tuning as one of the ways to adapt, beside the closed forms."""

    name: str = "finetune"
    title: str = "fine-tuning, to convergence"
    baseline: bool = True
    fewest: int = 5  # a fold leaves one out, two are set aside, two are trained on
    thorough: bool = True
    steps: int = 1

    def competes(self, start: Model) -> bool:
        """Return False: it takes minutes, and has to be asked for."""
        del start
        return False

    def parts(self, labels: int) -> int:
        """Return one for each fold, and one for all."""
        return 1 + min(FOLDS, labels)

    def learner(self, problem: Problem) -> Learn:
        """Return what descends on frames that are kept."""
        shots = problem.shots
        start = shots.start
        descent = Descent(start.potential, shots.frames, start.dtype)

        def learn(kept: np.ndarray) -> PyTree:
            frames = [shots.frames[i] for i in kept]
            recipe = descent.with_best_rate(start.params, frames, RECIPE)
            run = descent.converged(start.params, frames, recipe)
            if len(kept) < len(shots.frames):
                problem.say(self.name)
            return run.params

        return learn


FINETUNE = FineTune()

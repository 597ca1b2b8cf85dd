"""Fine-tuning: the plain baseline that moves by gradient steps, until early stopping says so.

It takes minutes where the closed forms take seconds, and wins where the start is so far off that a
linear model of it says little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import numpy as np
import optax
from jaxtyping import Float, PyTree

from kshot.core.seeds import named_generator
from kshot.fewshot.judge import Shots, learned
from kshot.fewshot.least_squares import Fit
from kshot.fewshot.methods import FINETUNE, stepwise
from kshot.potentials import EnergyForces
from kshot.potentials.base import Potential
from kshot.potentials.packed import Packed, Piece, pack, size_of

PACK = 10  # structures of one program, and of one step
MOST_STEPS, PATIENCE, LOOK_EVERY = 600, 200, 20
RATE, LAST_RATE = 1e-3, 0.05  # of Adam; what is left of it in the end
WATCHED = 5  # one in so many frames, two at least, is not trained on: it says when to stop
ENERGY_WEIGHT, FORCES_WEIGHT = 100.0, 1.0
FEWEST = 5  # frames: a fold leaves one out, two are watched, two are left


class Descent:
    """Gradient steps on frames of one family: the loss and its slope on a pack, compiled once.

    Args:
        potential: whose parameters move.
        frames: all that it may be asked for.
        dtype: of everything real-valued.
    """

    def __init__(
        self, potential: Potential, frames: Sequence[Piece], dtype: np.typing.DTypeLike
    ) -> None:
        self.cutoff, self.dtype = potential.cutoff, dtype
        largest = sorted(frames, key=lambda one: one.graph.size.edges)[-PACK:]
        self.room = size_of(largest)
        loss = EnergyForces(
            potential,
            energy_weight=ENERGY_WEIGHT,
            forces_weight=FORCES_WEIGHT,
            shift="fitted",
        )
        self.slope = jax.jit(jax.value_and_grad(loss))

    def stepped(self, params: PyTree, frames: Sequence[Piece], steps: int, rate: float) -> PyTree:
        """Return the parameters after so many steps of Adam, each on all frames."""
        packs, optimiser = self.packs(frames), optax.adam(rate)
        state, move = optimiser.init(params), _mover(optimiser)
        for _ in range(steps):
            slopes = [self.slope(params, one)[1] for one in packs]
            params, state = move(params, state, jax.tree.map(lambda *g: sum(g) / len(g), *slopes))
        return params

    def converged(self, params: PyTree, frames: Sequence[Piece], rate: float) -> PyTree:
        """Return the parameters of least error on a fifth of the frames, trained on the others."""
        rng = named_generator(0, "batches")
        order = rng.permutation(len(frames))
        aside = max(2, len(frames) // WATCHED)
        watched = self.packs([frames[i] for i in order[:aside]])
        rest = [frames[i] for i in order[aside:]]
        optimiser = optax.adam(optax.cosine_decay_schedule(rate, MOST_STEPS, LAST_RATE))
        state, move = optimiser.init(params), _mover(optimiser)
        best, found, last = np.inf, params, 0
        for step in range(MOST_STEPS + 1):
            if step % LOOK_EVERY == 0:
                error = self.loss(params, watched)
                if error < best:
                    best, found, last = error, params, step
                if step - last >= PATIENCE:
                    break
            some = [rest[i] for i in rng.permutation(len(rest))[:PACK]]
            params, state = move(params, state, self.slope(params, self.packs(some)[0])[1])
        return found

    def loss(self, params: PyTree, packs: Sequence[Packed]) -> float:
        """Return the mean loss of packs."""
        return float(np.mean([self.slope(params, one)[0] for one in packs]))

    def packs(self, frames: Sequence[Piece]) -> list[Packed]:
        """Return frames as packs; the last may be emptier."""
        return [
            pack(frames[i : i + PACK], self.room, PACK, self.cutoff, self.dtype)
            for i in range(0, len(frames), PACK)
        ]


@dataclass(frozen=True, eq=False)
class FineTune:
    """Fine-tuning as one of the ways to adapt, beside the closed forms.

    Args:
        told: called after each fit that leaves frames out.
    """

    told: Callable[[str], None] = lambda _: None
    method = stepwise(FINETUNE, MOST_STEPS, baseline=True)

    def fits(
        self, some: Shots, folds: Sequence[Sequence[int] | np.ndarray]
    ) -> Iterator[list[tuple[Fit, Float[np.ndarray, " rows"]]]]:
        """Yield once: fits that leave out each fold, and the true residuals less shifts."""
        start = some.start
        descent = Descent(start.potential, some.frames, start.dtype)

        def learn(kept: np.ndarray) -> PyTree:
            params = descent.converged(start.params, [some.frames[i] for i in kept], RATE)
            if len(kept) < len(some.frames):
                self.told(FINETUNE)
            return params

        yield learned(some, folds, learn)


def _mover(optimiser: optax.GradientTransformation) -> Callable:
    @jax.jit
    def move(params: PyTree, state: PyTree, slope: PyTree) -> tuple[PyTree, PyTree]:
        with jax.numpy_dtype_promotion("standard"):  # optax mixes its integer counts with floats.
            updates, state = optimiser.update(slope, state, params)
        return optax.apply_updates(params, updates), state

    return move

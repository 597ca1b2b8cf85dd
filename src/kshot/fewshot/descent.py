"""Gradient steps on few frames, until frames that are not trained on say that no more is gained.

Adam at a constant rate, halved where the loss of the frames set aside stands still. The patience
grows with the step that was best so far, so that no fixed number of steps ends a run: a run that is
still gaining at step 5,000 may go to 10,000 and beyond.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, PyTree, Scalar

from kshot.core.seeds import named_generator
from kshot.potentials import EnergyForces
from kshot.potentials.base import Potential
from kshot.potentials.packed import Packed, Piece, pack, size_of

BATCH = 5  # structures of one step
LOOK_EVERY = 20  # steps between two looks at the frames set aside; one call of one program
PATIENCE = 400  # steps without a gain that end a run, and as many more as its best step counts
HALVINGS = 4  # of the rate, evenly over one patience
GAIN = 1e-3  # of the loss: less is standing still
WATCHED = 5  # one frame in so many is set aside, two at least
RATES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)  # of Adam: networks differ by two decades in what is best
TRIAL = 100  # steps, after which frames set aside say which rate does best
GUARD = 200_000  # steps: a run that comes so far says so, and is not called converged
ADAM = optax.scale_by_adam()


class Recipe(NamedTuple):
    """What a descent is told; see `kshot.potentials.EnergyForces`.

    Args:
        rate: of Adam, at first.
        energy_weight: of (eV/atom)².
        forces_weight: of (eV/Å)².
    """

    rate: float
    energy_weight: float
    forces_weight: float = 1.0


class Look(NamedTuple):
    """One look at a run.

    Args:
        step: how many have been taken.
        rate: of the steps that follow.
        trained: mean loss of the batches since the last look; NaN at the first.
        watched: loss of the frames set aside.
    """

    step: int
    rate: float
    trained: float
    watched: float


class Descended(NamedTuple):
    """What a run came to.

    Args:
        params: of the least loss on the frames set aside.
        best: the step they are of.
        stopped: why the run ended; ``"guard"`` is no convergence.
        curve: every look, the last one at the step where it stopped.
        trained: how many frames it trained on.
    """

    params: PyTree
    best: int
    stopped: Literal["patience", "guard"]
    curve: tuple[Look, ...]
    trained: int

    @property
    def steps(self) -> int:
        """How many steps were taken."""
        return self.curve[-1].step


class Descent:
    """Gradient steps on frames of one family: programs that all its runs share.

    Args:
        potential: whose parameters move.
        frames: all that it may be asked for.
        dtype: of everything real-valued.
    """

    def __init__(
        self, potential: Potential, frames: Sequence[Piece], dtype: np.typing.DTypeLike
    ) -> None:
        self.cutoff, self.dtype = potential.cutoff, dtype
        self.room = size_of(sorted(frames, key=_edges)[-BATCH:])
        self._squares = EnergyForces(potential, 1.0, 1.0, shift="fitted")
        self._leap = jax.jit(self._steps)
        self._judge = jax.jit(self._loss)

    def converged(
        self, params: PyTree, frames: Sequence[Piece], recipe: Recipe, seed: int = 0
    ) -> Descended:
        """Return what steps on some frames come to, as the others of them judge.

        Args:
            params: to begin with.
            frames: three or more; `aside` says which are not trained on.
            recipe: rate and weights.
            seed: of the frames set aside and of batches.
        """
        watched, rest = self._parts(frames, seed)
        batches = self._batches(rest, seed)
        state, rate, halved, best, least = ADAM.init(params), recipe.rate, 0, 0, np.inf
        kept, curve, trained = params, [], float("nan")
        for step in range(0, GUARD + 1, LOOK_EVERY):
            loss = self.loss(params, watched, recipe)
            if loss < least * (1 - GAIN):
                least, best, kept = loss, step, params
            elif not np.isfinite(loss):
                params, state = kept, ADAM.init(kept)
            patience = PATIENCE + best
            if step - max(best, halved) >= patience / HALVINGS:
                rate, halved = rate / 2, step
            curve.append(Look(step, rate, trained, loss))
            if step - best >= patience:
                return Descended(kept, best, "patience", tuple(curve), len(rest))
            params, state, losses = self._leap(params, state, next(batches), *_told(recipe, rate))
            trained = float(np.mean(losses))
        return Descended(kept, best, "guard", tuple(curve), len(rest))

    def with_best_rate(
        self, params: PyTree, frames: Sequence[Piece], recipe: Recipe, seed: int = 0
    ) -> Recipe:
        """Return the recipe with the rate that does best in a short trial, as `converged` judges.

        Args:
            params: to begin with.
            frames: three or more; `aside` says which of them judge.
            recipe: weights; its rate is not looked at.
            seed: of the frames set aside and of batches.
        """
        watched, rest = self._parts(frames, seed)
        losses = {}
        for rate in RATES:
            batches, state, moved = self._batches(rest, seed), ADAM.init(params), params
            for _ in range(TRIAL // LOOK_EVERY):
                moved, state, _ = self._leap(moved, state, next(batches), *_told(recipe, rate))
            loss = self.loss(moved, watched, recipe)
            losses[rate] = loss if np.isfinite(loss) else np.inf
        return recipe._replace(rate=min(losses, key=losses.__getitem__))

    def refitted(
        self, params: PyTree, frames: Sequence[Piece], recipe: Recipe, run: Descended, seed: int = 0
    ) -> PyTree:
        """Return what all frames come to by the rates of a run up to its best step.

        As many more steps at each rate as there are more frames, so that each frame is seen as
        often; nothing is set aside.
        """
        level = _level(frames)
        batches = self._batches([_less(frame, level) for frame in frames], seed)
        state = ADAM.init(params)
        rates = [look.rate for look in run.curve if look.step < run.best]
        leaps = round(len(rates) * len(frames) / run.trained)
        for place in range(leaps):
            rate = rates[place * len(rates) // leaps]
            params, state, _ = self._leap(params, state, next(batches), *_told(recipe, rate))
        return params

    def loss(self, params: PyTree, frames: Sequence[Piece], recipe: Recipe) -> float:
        """Return the mean loss of frames."""
        weights = _told(recipe, 0.0)[1:]
        parts = [frames[i : i + BATCH] for i in range(0, len(frames), BATCH)]
        losses = [self._judge(params, *weights, self._pack(part)) for part in parts]
        return float(np.average(np.asarray(losses), weights=[len(part) for part in parts]))

    def _parts(self, frames: Sequence[Piece], seed: int) -> tuple[list[Piece], list[Piece]]:
        """Return the frames set aside and the others, less the mean energy of those."""
        parts = aside(len(frames), seed)
        level = _level([frames[i] for i in parts[1]])
        watched, rest = ([_less(frames[i], level) for i in part] for part in parts)
        return watched, rest

    def _batches(self, frames: Sequence[Piece], seed: int) -> Iterator[Packed]:
        """Yield batches for `LOOK_EVERY` steps at a time: every frame once before any again."""
        rng = named_generator(seed, "batches")
        size = min(BATCH, len(frames))
        order: list[int] = []
        while True:
            packs = []
            for _ in range(LOOK_EVERY):
                if len(order) < size:
                    order += rng.permutation(len(frames)).tolist()
                chosen, order = order[:size], order[size:]
                packs.append(self._pack([frames[i] for i in chosen]))
            yield jax.tree.map(lambda *leaves: np.stack(leaves), *packs)

    def _pack(self, frames: Sequence[Piece]) -> Packed:
        return pack(frames, self.room, BATCH, self.cutoff, self.dtype)

    def _loss(
        self, params: PyTree, energy_weight: Scalar, forces_weight: Scalar, packed: Packed
    ) -> Scalar:
        squares = self._squares.residuals(params, packed) ** 2
        energies = packed.known.size
        return energy_weight * squares[:energies].sum() + forces_weight * squares[energies:].sum()

    def _steps(
        self,
        params: PyTree,
        state: PyTree,
        packs: Packed,
        rate: Scalar,
        energy_weight: Scalar,
        forces_weight: Scalar,
    ) -> tuple[PyTree, PyTree, Float[Array, " steps"]]:
        """Take one step of Adam for each pack of a leading axis."""

        def step(carry: tuple[PyTree, PyTree], packed: Packed) -> tuple[tuple, Scalar]:
            params, state = carry
            loss, slope = jax.value_and_grad(self._loss)(
                params, energy_weight, forces_weight, packed
            )
            with jax.numpy_dtype_promotion("standard"):  # optax mixes integer counts with floats.
                updates, state = ADAM.update(slope, state, params)
            moved = jax.tree.map(lambda leaf, update: leaf - rate * update, params, updates)
            return (moved, state), loss

        (params, state), losses = jax.lax.scan(step, (params, state), packs)
        return params, state, losses


def aside(
    count: int, seed: int = 0
) -> tuple[Int[np.ndarray, " watched"], Int[np.ndarray, " rest"]]:
    """Return which frames are set aside, to say when to stop, and which are trained on."""
    order = named_generator(seed, "aside").permutation(count)
    watched = max(2, count // WATCHED)
    return order[:watched], order[watched:]


def _level(frames: Sequence[Piece]) -> float:
    """Return the mean energy per atom in eV.

    Another level of theory may lie 10⁴ eV away, of which single precision keeps an meV or two.
    """
    return float(np.mean([frame.energy / frame.graph.size.atoms for frame in frames]))


def _less(frame: Piece, level: float) -> Piece:
    """Return a frame less an energy per atom: the loss fits such a shift anyhow."""
    return frame._replace(energy=frame.energy - level * frame.graph.size.atoms)


def _told(recipe: Recipe, rate: float) -> tuple[Array, Array, Array]:
    """Return a rate and the weights as arrays: another number is no other program."""
    weights = jnp.asarray(recipe.energy_weight), jnp.asarray(recipe.forces_weight)
    return jnp.asarray(rate), *weights


def _edges(frame: Piece) -> int:
    return frame.graph.size.edges

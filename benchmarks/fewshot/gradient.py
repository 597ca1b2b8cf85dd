"""Methods that move by gradient steps: fine-tuning the start, and training from scratch.

Every rate is tuned on the shots alone, by two folds. "To convergence" stops early on a fifth of the
shots and goes back to the best parameters; it may take as many steps as joint training needs here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import PyTree

from kshot.atoms import Labelled
from kshot.core.seeds import named_generator
from kshot.fewshot.adapt import to_pieces
from kshot.pipeline.study import ALLOW, Result, Setting, order_of, result, support_and_test
from kshot.potentials import EnergyForces
from kshot.potentials.model import Model
from kshot.potentials.packed import Packed, Piece, pack, size_of

SHOTS = (10, 50)
PACK = 10  # structures of one program
STEPS, MOST_STEPS, PATIENCE, EVERY = 20, 600, 200, 20
ENERGY_WEIGHT, FORCES_WEIGHT = 100.0, 1.0


class Way(NamedTuple):
    """One contestant.

    Args:
        scratch: whether it starts from random parameters.
        converge: until early stopping says so; else exactly `STEPS` steps on all shots.
        rates: of Adam, to choose from.
    """

    scratch: bool
    converge: bool
    rates: tuple[float, ...]


WAYS = {
    "fine-tune, 20 Adam steps": Way(scratch=False, converge=False, rates=(0.001, 0.003, 0.01)),
    "fine-tune, to convergence": Way(scratch=False, converge=True, rates=(0.001,)),
    "scratch, 20 Adam steps": Way(scratch=True, converge=False, rates=(0.01, 0.03)),
    "scratch, to convergence": Way(scratch=True, converge=True, rates=(0.01,)),
}


def gradient_based(start: Model, frames: Sequence[Labelled], setting: Setting) -> list[Result]:
    """Return one result per contestant, K and seed."""
    pool, asked = support_and_test(frames, setting.test)
    pieces = to_pieces(start, pool)
    lesson = Lesson(start, pieces)
    fresh = start.potential.init(jax.random.key(1))
    told = []
    for name, way in WAYS.items():
        base = fresh if way.scratch else start.params
        for seed in setting.seeds:
            for k in (k for k in setting.shots if k in SHOTS):
                order = order_of(seed, len(pool))[:k]
                params, rate = lesson.learn(base, [pieces[i] for i in order], way)
                model = shifted(start, params, [pool[i] for i in order])
                told.append(result(name, k, seed, model, asked) | {"rate": rate})
    return told


class Lesson:
    """The compiled programs of one family: the loss and its gradient on a pack of ten."""

    def __init__(self, start: Model, pieces: Sequence[Piece]) -> None:
        self.start = start
        largest = sorted(pieces, key=lambda one: one.graph.size.edges)[-PACK:]
        self.room = size_of(largest)
        loss = EnergyForces(
            start.potential,
            energy_weight=ENERGY_WEIGHT,
            forces_weight=FORCES_WEIGHT,
            shift="fitted",
        )
        self.slope = jax.jit(jax.value_and_grad(loss))

    def packs(self, some: Sequence[Piece]) -> list[Packed]:
        """Return shots as packs of ten; the last may be emptier."""
        cutoff = self.start.potential.cutoff
        return [
            pack(some[i : i + PACK], self.room, PACK, cutoff, np.float32)
            for i in range(0, len(some), PACK)
        ]

    def learn(self, base: PyTree, some: Sequence[Piece], way: Way) -> tuple[PyTree, float]:
        """Return parameters, and the rate that two folds of the shots prefer."""
        run = self.converged if way.converge else self.stepped

        def error(rate: float) -> float:
            halves = some[::2], some[1::2]
            both = [(halves[0], halves[1]), (halves[1], halves[0])]
            return float(np.mean([self.loss(run(base, a, rate), self.packs(b)) for a, b in both]))

        rate = min(way.rates, key=error) if len(way.rates) > 1 else way.rates[0]
        return run(base, some, rate), rate

    def stepped(self, base: PyTree, some: Sequence[Piece], rate: float) -> PyTree:
        """Return the parameters after `STEPS` steps of Adam, each on all shots."""
        packs, optimiser = self.packs(some), optax.adam(rate)
        params, state = base, optimiser.init(base)
        move = _mover(optimiser)
        for _ in range(STEPS):
            slopes = [self.slope(params, one)[1] for one in packs]
            params, state = move(params, state, jax.tree.map(lambda *g: sum(g) / len(g), *slopes))
        return params

    def converged(self, base: PyTree, some: Sequence[Piece], rate: float) -> PyTree:
        """Return the parameters of least error on a fifth of the shots, trained on the others."""
        rng = named_generator(0, "batches")
        order = rng.permutation(len(some))
        watched = self.packs([some[i] for i in order[: max(2, len(some) // 5)]])
        rest = [some[i] for i in order[max(2, len(some) // 5) :]]
        optimiser = optax.adam(optax.cosine_decay_schedule(rate, MOST_STEPS, 0.05))
        params, state = base, optimiser.init(base)
        move = _mover(optimiser)
        best, found, last = np.inf, base, 0
        for step in range(MOST_STEPS + 1):
            if step % EVERY == 0:
                error = self.loss(params, watched)
                if error < best:
                    best, found, last = error, params, step
                if step - last >= PATIENCE:
                    break
            some_now = [rest[i] for i in rng.permutation(len(rest))[:PACK]]
            params, state = move(params, state, self.slope(params, self.packs(some_now)[0])[1])
        return found

    def loss(self, params: PyTree, packs: Sequence[Packed]) -> float:
        """Return the mean loss of packs."""
        return float(np.mean([self.slope(params, one)[0] for one in packs]))


def shifted(start: Model, params: PyTree, shots: Sequence[Labelled]) -> Model:
    """Return a model with the shifts of elements that its shots ask for, the least ones."""
    model = start.with_(params=params)
    said = model.predict([one.structure for one in shots], allow=ALLOW)
    off = [one.labels.energy - here.energy for one, here in zip(shots, said, strict=True)]
    kinds = np.asarray(start.potential.elements)
    counts = np.array([(one.structure.numbers[:, None] == kinds).sum(0) for one in shots])
    shifts = np.linalg.lstsq(counts.astype(float), np.array(off), rcond=None)[0]
    moves = dict(zip(kinds.tolist(), shifts.tolist(), strict=True))
    return model.with_(e0s={z: value + moves.get(z, 0.0) for z, value in start.e0s.items()})


def _mover(optimiser: optax.GradientTransformation) -> Callable:
    @jax.jit
    def move(params: PyTree, state: PyTree, slope: PyTree) -> tuple[PyTree, PyTree]:
        updates, state = optimiser.update(slope, state, params)
        return optax.apply_updates(params, updates), state

    return move

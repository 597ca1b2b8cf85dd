"""Methods that move by gradient steps: fine-tuning the start, and training from scratch.

Every rate is tuned on the shots alone, by two folds. "To convergence" stops early on a fifth of the
shots and goes back to the best parameters; it may take as many steps as joint training needs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from kshot.atoms import Labelled
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.finetune import RATE, Descent
from kshot.pipeline.study import ALLOW, Result, Setting, order_of, result, support_and_test
from kshot.potentials.model import Model
from kshot.potentials.packed import Piece

SHOTS = (10, 50)
STEPS = 20


class Way(NamedTuple):
    """One contestant.

    Args:
        converge: until early stopping says so; else exactly `STEPS` steps on all shots.
        rates: of Adam, to choose from.
    """

    converge: bool
    rates: tuple[float, ...]


FINE_TUNE = {
    "fine-tune, 20 Adam steps": Way(converge=False, rates=(0.001, 0.003, 0.01)),
    "fine-tune, to convergence": Way(converge=True, rates=(RATE,)),
}
SCRATCH = {"scratch, to convergence": Way(converge=True, rates=(0.01,))}
SCRATCH_STEPS = {"scratch, 20 Adam steps": Way(converge=False, rates=(0.01, 0.03))}


def untrained(start: Model) -> Model:
    """Return what training from scratch begins with: the same whatever the start has learned."""
    return start.with_(params=start.potential.init(jax.random.key(1)), learned={})


def by_gradient(
    ways: Mapping[str, Way], start: Model, frames: Sequence[Labelled], setting: Setting
) -> list[Result]:
    """Return one result per contestant, K and seed."""
    pool, asked = support_and_test(frames, setting.test)
    pieces = to_pieces(start, pool)
    descent = Descent(start.potential, pieces, start.dtype)
    told = []
    for name, way in ways.items():
        for seed in setting.seeds:
            for k in (k for k in setting.shots if k in SHOTS):
                order = order_of(seed, len(pool))[:k]
                params, rate = learn(descent, start.params, [pieces[i] for i in order], way)
                model = shifted(start, params, [pool[i] for i in order])
                told.append(result(name, k, seed, model, asked) | {"rate": rate})
    return told


def learn(descent: Descent, base: PyTree, some: Sequence[Piece], way: Way) -> tuple[PyTree, float]:
    """Return parameters, and the rate that two folds of the shots prefer."""

    def run(frames: Sequence[Piece], rate: float) -> PyTree:
        if way.converge:
            return descent.converged(base, frames, rate)
        return descent.stepped(base, frames, STEPS, rate)

    def error(rate: float) -> float:
        halves = some[::2], some[1::2]
        both = [(halves[0], halves[1]), (halves[1], halves[0])]
        return float(np.mean([descent.loss(run(a, rate), descent.packs(b)) for a, b in both]))

    rate = min(way.rates, key=error) if len(way.rates) > 1 else way.rates[0]
    return run(some, rate), rate


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

"""Methods that move by gradient steps, through the engine: fine-tuning, and training from scratch.

Rates are tuned for every family on its first ten shots, by two folds; the numbers of steps are the
ones the target figures speak of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import jax
import numpy as np
from study import order_of, row, support_and_test

from kshot import meta
from kshot.atoms import Labelled
from kshot.fewshot.adapt import to_pieces
from kshot.potentials import EnergyForces
from kshot.potentials.model import Model
from kshot.potentials.packed import Piece, pack, size_of

RATES = {"fine-tune, 20 Adam steps": (0.001, 0.003, 0.01), "scratch, 20 Adam steps": (0.01, 0.03)}
SHOTS = (10, 50)
STEPS = 20
SEEDS = 2


def gradient_based(
    start: Model, frames: Sequence[Labelled], seeds: Iterable[int], shots: Sequence[int], test: int
) -> list[dict]:
    """Return one row per method, K and seed."""
    pool, asked = support_and_test(frames, test)
    pieces = to_pieces(start, pool)
    fresh = start.with_(params=start.potential.init(jax.random.key(1)))
    bases = {"fine-tune, 20 Adam steps": start, "scratch, 20 Adam steps": fresh}
    told = []
    for name, base in bases.items():
        rate = tuned(base, [pieces[i] for i in order_of(0, len(pool))[:10]], RATES[name])
        for seed in list(seeds)[:SEEDS]:
            for k in (k for k in shots if k in SHOTS):
                some = [pieces[i] for i in order_of(seed, len(pool))[:k]]
                model = moved(base, some, rate, STEPS)
                told.append(row(name, k, seed, model, asked) | {"rate": rate})
    return told


def tuned(base: Model, some: Sequence[Piece], rates: Sequence[float]) -> float:
    """Return the rate that does best on frames left out."""

    def error(rate: float) -> float:
        folds = np.array_split(np.arange(len(some)), 2)
        total = 0.0
        for fold in folds:
            rest = [some[i] for i in range(len(some)) if i not in fold]
            model = moved(base, rest, rate, STEPS)
            total += float(_loss(base)(model.params, packed(base, [some[i] for i in fold])))
        return total

    return min(rates, key=error)


def moved(base: Model, some: Sequence[Piece], rate: float, steps: int) -> Model:
    """Return the model after so many Adam steps on all shots, its shift solved at the end."""
    loss, data = _loss(base), packed(base, some)
    algorithm = meta.finetune(loss, meta.rules.adam(rate), steps)
    state = algorithm.init(jax.tree.map(jax.numpy.asarray, base.params))
    params = algorithm.adapt(state, data)
    compared = data.compare(base.potential, params)
    e0s = dict(base.e0s)
    for number, shift in zip(base.potential.elements, np.asarray(compared.shifts()), strict=True):
        e0s[number] += float(shift)
    return base.with_(params=params, e0s=e0s)


def packed(base: Model, some: Sequence[Piece]):
    """Return shots as one pack."""
    return pack(some, size_of(some), len(some), base.potential.cutoff, np.float32)


def _loss(base: Model) -> EnergyForces:
    return EnergyForces(base.potential, energy_weight=100.0, forces_weight=1.0, shift="fitted")

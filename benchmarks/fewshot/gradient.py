"""Methods that move by gradient steps: fine-tuning the start, and training from scratch.

Every rate is tuned on the shots alone, by two folds. "To convergence" stops early on a fifth of the
shots and goes back to the best parameters; it may take as many steps as joint training needs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree

from kshot.atoms import Labelled
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.finetune import RATE, Descent
from kshot.pipeline.study import ALLOW, Draw, Job, Row, tested
from kshot.potentials.model import Model
from kshot.potentials.packed import Piece

SHOTS, DRAWS = (20,), 3  # what minutes a run allow
STEPS = 20


class Way(NamedTuple):
    """One contestant.

    Args:
        converge: until early stopping says so; else exactly `STEPS` steps on all shots.
        rates: of Adam, to choose from.
    """

    converge: bool
    rates: tuple[float, ...]


FINE_TUNE = {"fine-tune, to convergence": Way(converge=True, rates=(RATE,))}
SCRATCH = {"scratch, to convergence": Way(converge=True, rates=(0.01,))}


def untrained(start: Model) -> Model:
    """Return what training from scratch begins with: the same whatever the start has learned."""
    return start.with_(params=start.potential.init(jax.random.key(1)), learned={})


def fine_tune(start: Model) -> Job:
    """Return fine-tuning a start as a job of a study."""
    return _job("fine-tune", start, FINE_TUNE)


def scratch(fresh: Model) -> Job:
    """Return training from scratch as a job of a study."""
    return _job("scratch", fresh, SCRATCH)


def _job(name: str, model: Model, contestants: Mapping[str, Way]) -> Job:
    run = partial(by_gradient, contestants)
    return Job(name, model, run, shots=SHOTS, draws=DRAWS, sources=(Path(__file__),))


def by_gradient(
    contestants: Mapping[str, Way], start: Model, draw: Draw, shots: tuple[int, ...]
) -> list[Row]:
    """Return the rows of each contestant and K on one draw."""
    pieces = to_pieces(start, draw.shots)
    descent = Descent(start.potential, pieces, start.dtype)
    rows = []
    for name, way in contestants.items():
        for k in shots:
            params, rate = learn(descent, start.params, pieces[:k], way)
            model = shifted(start, params, draw.shots[:k])
            rows += tested(model, draw, name, k, rate=rate)
    return rows


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

"""What contestants that move by gradient steps share: runs until nothing is gained, and shifts.

Inside the K, a fifth says when to stop. Each row says where its run stopped and why.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from kshot.atoms import Labelled
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.anchors import drift
from kshot.fewshot.descent import Descended, Descent, Recipe
from kshot.pipeline.study import ALLOW, Draw, Row, tested
from kshot.potentials.model import Model

SHOTS, DRAWS = (20,), 3  # what minutes a run allow


def untrained(start: Model) -> Model:
    """Return what training from scratch begins with: the same whatever the start has learned."""
    return start.with_(params=start.potential.init(jax.random.key(1)), learned={})


def by_gradient(
    contestants: Mapping[str, Recipe], start: Model, draw: Draw, shots: tuple[int, ...]
) -> list[Row]:
    """Return the rows of each contestant and K on one draw."""
    descent = Descent(start.potential, to_pieces(start, draw.shots), start.dtype)
    rows = []
    for name, recipe in contestants.items():
        for k in shots:
            model, record = descended(descent, start, draw.shots[:k], recipe)
            rows += tested(model, draw, name, k, **record, drift=forgotten(start, model))
    return rows


def forgotten(start: Model, model: Model) -> list[float] | None:
    """Return force errors on the start's anchors in eV/Å, before and after; None without any."""
    lost = drift(start, model)
    return None if lost is None else [lost.forces_before, lost.forces_after]


def descended(
    descent: Descent, start: Model, shots: Sequence[Labelled], recipe: Recipe
) -> tuple[Model, dict[str, Any]]:
    """Return a model that has converged on its shots, and how that went in plain JSON values."""
    begun = time.perf_counter()
    run = descent.converged(start.params, to_pieces(start, shots), recipe)
    seconds = round(time.perf_counter() - begun, 1)
    return shifted(start.with_(params=run.params), shots), told(recipe, run) | {"seconds": seconds}


def told(recipe: Recipe, run: Descended) -> dict[str, Any]:
    """Return where a run stopped and why, in plain JSON values."""
    return {
        "rate": recipe.rate,
        "best": run.best,
        "steps": run.steps,
        "stopped": run.stopped,
        "curve": [[look.step, look.rate, float(f"{look.watched:.3g}")] for look in run.curve],
    }


def shifted(model: Model, shots: Sequence[Labelled]) -> Model:
    """Return a model with the shifts of elements that its shots ask for, the least ones."""
    predicted = model.predict([frame.structure for frame in shots], allow=ALLOW)
    off = [
        frame.labels.energy - labels.energy for frame, labels in zip(shots, predicted, strict=True)
    ]
    kinds = np.asarray(model.potential.elements)
    counts = np.array([(frame.structure.numbers[:, None] == kinds).sum(0) for frame in shots])
    shifts = np.linalg.lstsq(counts.astype(float), np.array(off), rcond=None)[0]
    moves = dict(zip(kinds.tolist(), shifts.tolist(), strict=True))
    return model.with_(e0s={z: value + moves.get(z, 0.0) for z, value in model.e0s.items()})

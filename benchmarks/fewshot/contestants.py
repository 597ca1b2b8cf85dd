"""The contestants that move by gradient steps: fine-tuning, and from scratch, each with two ends.

Rates and weights are those of ``tuned.py``, found on development families. A fifth of the K says
when to stop; the second end then takes the same steps on all K.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradient

from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.descent import Descent, Recipe
from kshot.pipeline.study import Draw, Job, Row, tested
from kshot.potentials.model import Model


class Contestant(NamedTuple):
    """A recipe, and how its two ends are called.

    Args:
        early: stopped by a fifth of the K.
        refitted: by the same steps on all K.
        recipe: rate and weights.
    """

    early: str
    refitted: str
    recipe: Recipe


def fine_tune(start: Model, recipe: Recipe) -> Job:
    """Return fine-tuning a start as a job of a study."""
    names = ("fine-tune, to convergence", "fine-tune, refitted on all")
    return _job("fine-tune", start, Contestant(*names, recipe))


def scratch(start: Model, recipe: Recipe) -> Job:
    """Return training from scratch as a job of a study; a start gives the architecture only."""
    names = ("scratch, to convergence", "scratch, refitted on all")
    return _job("scratch", gradient.untrained(start), Contestant(*names, recipe))


def _job(name: str, model: Model, contestant: Contestant) -> Job:
    sources = (Path(__file__), Path(gradient.__file__))
    run = partial(rows_of, contestant)
    options = {"recipe": list(contestant.recipe)}
    return Job(name, model, run, gradient.SHOTS, gradient.DRAWS, sources, options)


def rows_of(contestant: Contestant, start: Model, draw: Draw, shots: tuple[int, ...]) -> list[Row]:
    """Return the rows of both ends, for each K, on one draw."""
    descent = Descent(start.potential, to_pieces(start, draw.shots), start.dtype)
    rows: list[Row] = []
    for k in shots:
        pieces = to_pieces(start, draw.shots[:k])
        begun = time.perf_counter()
        run = descent.converged(start.params, pieces, contestant.recipe)
        halfway = time.perf_counter()
        params = descent.refitted(start.params, pieces, contestant.recipe, run)
        ends = (
            (contestant.early, run.params, halfway),
            (contestant.refitted, params, time.perf_counter()),
        )
        for method, parameters, ended in ends:
            model = gradient.shifted(start.with_(params=parameters), draw.shots[:k])
            record = gradient.told(contestant.recipe, run) | {"seconds": round(ended - begun, 1)}
            forgotten = gradient.forgotten(start, model)
            rows += tested(model, draw, method, k, **record, drift=forgotten)
    return rows

"""The closed-form contestants, and kshot, which chooses among them: the product's own code.

What a draw's numbers of shots have in common is computed once: derivatives along all coordinates,
which every K gets that has few enough of them, are those of its first frames.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from kshot.core.cache import kept_rows_folder
from kshot.fewshot.adapt import (
    Adapted,
    adapted_by,
    choose_among,
    linearised,
    priors_of,
    to_pieces,
)
from kshot.fewshot.adapters import named, usual
from kshot.fewshot.adapters.base import Adapter, Candidate
from kshot.fewshot.anchors import Drift, anchor_rows, drift
from kshot.fewshot.jacobian import Rows, within_bounds
from kshot.fewshot.least_squares import Gram, grams
from kshot.fewshot.shots import shots as ready
from kshot.pipeline.study.frames import Draw
from kshot.pipeline.study.jobs import Row, tested
from kshot.potentials.model import Model
from kshot.potentials.packed import Piece

KSHOT = "kshot"


class Problems(NamedTuple):
    """The linear problems of K shots, by method, and the seconds that setting them up takes."""

    k: int
    problems: Mapping[str, Gram]
    seconds: float


def closed_form(start: Model, draw: Draw, shots: tuple[int, ...]) -> list[Row]:
    """Return the rows of every closed-form method, and of the one that is chosen among them."""
    pieces = to_pieces(start, draw.shots[: max(shots)])
    tried = [adapter for each in named(usual(start)) if (adapter := each.of(start)) is not None]
    results = []
    for k, problems, seconds in _problems(start, tried, pieces, shots, draw.number):
        begun = time.perf_counter()
        task = ready(start, pieces[:k], next(iter(problems.values())).rows)
        adapted = choose_among(task, tried, problems, draw.number)
        seconds += time.perf_counter() - begun
        for candidate in adapted.candidates:
            model = adapted.model
            if candidate is not adapted.chosen:
                model = adapted_by(task, problems, candidate, draw.number)
            more = _says(adapted, candidate, drift(start, model))
            results += tested(model, draw, candidate.method.name, k, **more)
        more = _says(adapted, adapted.chosen, adapted.drift)
        more |= {"chose": adapted.chosen.method.name, "seconds": round(seconds, 2)}
        results += tested(adapted.model, draw, KSHOT, k, **more)
    return results


def _problems(
    start: Model,
    tried: Sequence[Adapter],
    pieces: Sequence[Piece],
    shots: Sequence[int],
    seed: int,
) -> Iterator[Problems]:
    """Yield the problems of each K, as `kshot.fewshot.adapt` sets them up."""
    bounds = {k: within_bounds(k, start.params) for k in shots}
    coordinates = 3 * max(len(piece.graph.numbers) for piece in pieces)
    full = [k for k in shots if bounds[k].memory is None and bounds[k].directions >= coordinates]
    for group in [full, *([k] for k in shots if k not in full)]:
        if not group:
            continue
        begun = time.perf_counter()
        most = max(group)
        anchors = anchor_rows(start, kept_rows_folder(), bounds[most].memory)
        own = linearised(start, pieces[:most], bounds[most], seed)
        joint = grams(own, priors_of(tried, start, own), anchors)
        seconds = time.perf_counter() - begun
        for k in group:
            begun = time.perf_counter()
            parts = joint if k == most else _first(start, tried, joint, k, anchors)
            yield Problems(k, parts, seconds * k / most + time.perf_counter() - begun)


def _first(
    start: Model,
    tried: Sequence[Adapter],
    joint: Mapping[str, Gram],
    k: int,
    anchors: Rows | None,
) -> dict[str, Gram]:
    """Return the problems of the first K of more frames; priors may read only their rows."""
    own = next(iter(joint.values())).rows.of(range(k))
    priors = priors_of(tried, start, own)
    same = {
        name: problem.of(range(k))
        for name, problem in joint.items()
        if np.array_equal(problem.variance, priors[name].variance)
    }
    others = {name: prior for name, prior in priors.items() if name not in same}
    return same | (grams(own, others, anchors) if others else {})


def _says(adapted: Adapted, candidate: Candidate, lost: Drift | None) -> dict[str, Any]:
    """Return what a method has chosen, its errors left out, and what it made the start forget."""
    return {
        "factor": candidate.factor,
        "steps": candidate.steps,
        "edge": list(candidate.limits),
        "cv": list(candidate.error),
        "atoms": adapted.atoms,
        "baseline": candidate.method.baseline,
        "drift": None if lost is None else [lost.forces_before, lost.forces_after],
    }

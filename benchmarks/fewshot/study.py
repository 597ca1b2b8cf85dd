"""The closed-form methods: the product's own code, its matrices shared between seeds and K."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from kshot.atoms import Labelled
from kshot.core.seeds import named_generator
from kshot.fewshot.adapt import MOST_ROWS, choose_among, fitted, to_pieces
from kshot.fewshot.anchors import anchor_rows, drift
from kshot.fewshot.jacobian import rows
from kshot.fewshot.judge import shots as ready
from kshot.fewshot.least_squares import grams
from kshot.fewshot.methods import METHODS, prior_of
from kshot.pipeline.config import load_config
from kshot.pipeline.draws import draw_all, jobs_of, label_frames
from kshot.pipeline.evaluate import evaluate
from kshot.pipeline.families import chosen
from kshot.potentials.model import Model

ALLOW = ("charges", "multiplicities", "levels")


def held_out_frames(path: Path) -> dict[str, list[Labelled]]:
    """Return the labelled held-out configurations by family, drawn and labelled if need be."""
    config = load_config(path)
    data = config.data
    families = chosen(config.families).held_out
    ways = [one.draw() for one in data.held_out_draws]
    drawn = draw_all(
        jobs_of(families, ways, data.engine, config.seed, data.folder / "frames"), data.workers
    )
    labelled, _ = label_frames(
        drawn.frames, data.engine, data.folder / "labels.ledger", data.workers
    )
    found: dict[str, list[Labelled]] = {}
    for one in labelled:
        found.setdefault(one.structure.family, []).append(one)
    for line in drawn.failed:
        print("not drawn:", line)
    return found


def support_and_test(
    frames: Sequence[Labelled], test: int
) -> tuple[list[Labelled], list[Labelled]]:
    """Return what shots are taken from, and a test set from another trajectory."""
    names = sorted({str(one.structure.info["trajectory"]) for one in frames})
    by_name = {n: [f for f in frames if str(f.structure.info["trajectory"]) == n] for n in names}
    pool, other = by_name[names[0]], by_name[names[1]]
    places = np.linspace(0, len(other) - 1, min(test, len(other))).astype(int)
    return pool, [other[i] for i in places]


def order_of(seed: int, count: int) -> np.ndarray:
    """Return the order in which shots are taken: K shots are the first K."""
    return named_generator(seed, "support").permutation(count)


def closed_form(
    start: Model, frames: Sequence[Labelled], seeds: Iterable[int], shots: Sequence[int], test: int
) -> list[dict]:
    """Return one row per method, K and seed."""
    pool, asked = support_and_test(frames, test)
    pieces = to_pieces(start, pool)
    directions = MOST_ROWS // max(shots) - 1
    own = rows(start.potential, start.params, pieces, directions=directions)
    anchors = anchor_rows(start)
    problems = grams(own, {name: prior_of(way, start) for name, way in METHODS.items()}, anchors)
    told = []
    for seed in seeds:
        order = order_of(seed, len(pool))
        for k in shots:
            here = order[:k]
            parts = {name: problem.of(here) for name, problem in problems.items()}
            some = ready(start, [pieces[i] for i in here], parts["shift"].rows)
            adapted = choose_among(some, parts, seed)
            for one in adapted.candidates:
                name = one.method.name
                model = adapted.model
                if name != adapted.chosen.method.name:
                    model = fitted(some, parts[name], one)
                told.append(
                    row(name, k, seed, model, asked) | {"cv": list(one.error), "factor": one.factor}
                )
                if name == adapted.chosen.method.name:
                    lost = drift(start, model)
                    told.append(
                        told[-1] | {"method": "kshot", "chose": name, "drift": lost and list(lost)}
                    )
    return told


def row(name: str, k: int, seed: int, model: Model, asked: Sequence[Labelled]) -> dict:
    """Return the errors of one adapted model."""
    found = evaluate(model, asked, allow=ALLOW)
    return {
        "method": name,
        "k": k,
        "seed": seed,
        "energy": found.energy_rmse_eV,
        "forces": found.force_rmse_eV_per_A,
        "cosine": found.force_cosine,
    }

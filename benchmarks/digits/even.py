"""As many shots of every class: what each contestant gets right on held-out digits."""

import json

import baselines
import numpy as np
from episodes import Shape, Split, split
from jobs import CENTROIDS
from learners import judge, learners, scratch, train, validation_and_test

from kshot import meta
from kshot.meta.evaluate import Curve


def learned(name: str, shots: int, seed: int, steps: int) -> dict[str, dict]:
    """Return what one meta-learner achieves; of MAML also its features alone."""
    contestant, (digits, shape, validation, test) = learners(steps)[name], _setting(shots, seed)
    state = train(contestant.algorithm, digits, shape, steps, seed)
    curve, taken = judge(contestant, state, validation, test)
    rows = {name: _of(curve, f"{taken} steps")}
    if name == "MAML, transductive":
        errors = baselines.centroid_errors(test, baselines.learned(state.params))
        rows[CENTROIDS] = _plain(errors)
    return rows


def untrained(shots: int, seed: int) -> dict:
    """Return what training from scratch achieves."""
    _, shape, validation, test = _setting(shots, seed)
    return _of(*scratch(validation, test, shape.way, seed))


def baselines_alone(shots: int, seed: int) -> dict[str, dict]:
    """Return what needs no network, and which digits the seed holds out."""
    digits, _, validation, test = _setting(shots, seed)
    wrong, strength = baselines.tuned_logistic(validation, test)
    pixels = _plain(baselines.centroid_errors(test, baselines.pixels))
    return {
        "centroid of pixels": pixels | {"held_out": [int(d) for d in digits.test_digits]},
        "logistic regression": _plain(wrong) | {"chosen": f"C = {strength:g}"},
    }


def _setting(shots: int, seed: int) -> tuple[Split, Shape, meta.Task, meta.Task]:
    digits, shape = split(seed), Shape((shots,) * baselines.WAY)
    return digits, shape, *validation_and_test(digits, shape)


def _of(curve: Curve, chosen: str) -> dict:
    return {
        "accuracy": 1 - float(curve.mean[-1]),
        "diverged": int(curve.diverged_tasks[-1]),
        "chosen": chosen,
        "curve": json.loads(curve.to_json()),
    }


def _plain(errors: np.ndarray) -> dict:
    return {"accuracy": 1 - float(errors.mean()), "diverged": 0}

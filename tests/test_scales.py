"""Which scales of a prior cross-validation is asked of: all that can win, few that cannot."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from kshot.fewshot.adapters import adapters
from kshot.fewshot.adapters import linear as module
from kshot.fewshot.adapters.base import Problem
from kshot.fewshot.adapters.linear import HOPELESS, bearable, steps_of
from kshot.fewshot.folds import cross_validated, folds_of
from kshot.fewshot.least_squares import Prior, Score, gram, score
from kshot.fewshot.shots import Shots, shifted_by, unmoved_fit
from springs import rattled, ready, start

METHOD = adapters.get("uniform")


@pytest.fixture(scope="module")
def some() -> Shots:
    return ready(start(), rattled(8))


@pytest.fixture(scope="module")
def problem(some):
    return gram(some.rows, Prior(np.full(some.rows.jacobian.shape[1], 0.1)))


def paths(monkeypatch, some, *changes: list[float]):
    """Scales, from the largest on, whose steps change the start's error like this."""
    rows = some.rows
    unmoved = score(rows, rows.residual + shifted_by(rows, unmoved_fit(some)))
    asked: list[int] = []

    def on_the_way(_: Shots, scale: SimpleNamespace):
        for change in changes[scale.place]:
            asked.append(scale.place)
            yield unmoved.together + change

    monkeypatch.setattr(module, "errors_on_the_way", on_the_way)
    scales = [SimpleNamespace(place=place) for place in range(len(changes))]
    return [scale.place for scale in bearable(some, iter(scales))], asked


GOOD, SLOW = [-0.1, -0.2, -0.3], [0.6, 0.1, -0.2]  # as uniform and learned variances at 50 labels
BAD, AWFUL = [-0.1, 0.3, 0.9], [HOPELESS + 0.1, 5.0, 9.0]


def test_a_scale_that_ends_worse_than_the_start_is_not_judged(monkeypatch, some):
    assert paths(monkeypatch, some, BAD, AWFUL, GOOD)[0] == [2]


def test_a_scale_that_overshoots_and_comes_back_is_judged(monkeypatch, some):
    assert paths(monkeypatch, some, SLOW, GOOD)[0] == [0, 1]


def test_a_hopeless_scale_costs_one_step(monkeypatch, some):
    _, asked = paths(monkeypatch, some, AWFUL, GOOD)
    assert asked.count(0) == 1


def test_below_a_scale_that_is_judged_none_is_tried(monkeypatch, some):
    kept, asked = paths(monkeypatch, some, GOOD, BAD, GOOD)
    assert kept == [0, 1, 2]
    assert set(asked) == {0}


def test_where_all_overshoot_the_smallest_is_judged(monkeypatch, some):
    assert paths(monkeypatch, some, BAD, AWFUL)[0] == [1]


def test_a_start_that_is_right_already_is_judged_at_some_scale(monkeypatch, some):
    assert paths(monkeypatch, some, [0.0, 0.0, 0.0])[0] == [0]


def test_the_choice_is_that_of_a_search_of_all_scales(some, problem):
    folds = folds_of(len(some.frames), 0)
    errors = {
        factor: min(
            error.together
            for error in cross_validated(
                some, folds, steps_of(some, problem.solve(factor), METHOD.steps, folds)
            )
        )
        for factor in METHOD.factors
    }
    chosen = METHOD.judge(Problem(some, problem, 0)).candidate
    assert chosen.error.together == pytest.approx(errors[chosen.factor])
    assert chosen.error.together < min(errors.values()) + 0.02


START = 0.0  # logarithms of errors, as those below


@pytest.mark.parametrize(
    ("why", "linear", "true", "judged_scales"),
    [
        ("the linear model is clearly worse", [-1.1, -0.9, -0.8], [-1.0, -1.2, -1.3], 1),
        ("the linear model was no optimist", [-0.9, -0.8, -0.7], [-1.0, -1.2, -1.1], 3),
        ("no gain, and none is promised", [-1.1, -1.1, -1.1], [-1.0, -1.005, -1.2], 2),
        ("no gain, but much is promised", [-2.0, -2.0, -1.9], [-1.0, -1.005, -1.7], 3),
        ("the true model is worse", [-2.0, -2.0, -2.0], [-1.0, -0.9, -1.7], 2),
        ("nothing is better than the start", [-1.0, -0.9, -0.8], [0.4, 0.3, 0.2], 3),
    ],
)
def test_the_search_goes_down_as_long_as_a_scale_may_win(
    monkeypatch, some, problem, why, linear, true, judged_scales
):
    score_of = lambda value: Score(float(np.exp(value)), float(np.exp(value)))  # noqa: E731
    scales = [
        SimpleNamespace(factor=10.0**-place, linear=score_of(value))
        for place, value in enumerate(linear)
    ]
    asked: list[float] = []

    def cross_validated_as_told(*_):
        asked.append(true[len(asked)])
        return [score_of(asked[-1])]

    monkeypatch.setattr(module, "promising", lambda *_: iter(scales))
    monkeypatch.setattr(module, "bearable", lambda _, those: those)
    monkeypatch.setattr(module, "steps_of", lambda *_: iter(()))
    monkeypatch.setattr(module, "shifted_only", lambda *_: score_of(START))
    monkeypatch.setattr(module, "cross_validated", cross_validated_as_told)
    best = METHOD.judge(Problem(some, problem, 0)).candidate
    assert len(asked) == judged_scales, why
    assert best.error.together == pytest.approx(min(asked))


def test_errors_left_out_twice_are_the_same(some, problem):
    # the factor of a block is kept for the steps that follow
    folds = folds_of(len(some.frames), 0)
    solved = problem.solve(1.0)
    first = next(iter(steps_of(some, solved, 1, folds)))
    again = next(iter(steps_of(some, solved, 1, folds)))
    for (before, _), (after, _) in itertools.zip_longest(first, again):
        np.testing.assert_array_equal(before.move, after.move)

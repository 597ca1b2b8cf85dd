"""What a fold leaves out teaches it nothing: not moves, not shifts, not by gradient steps."""

from __future__ import annotations

import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from kshot.fewshot.adapters import finetune
from kshot.fewshot.adapters.base import Problem
from kshot.fewshot.adapters.linear import steps_of
from kshot.fewshot.adapters.stepwise import learned
from kshot.fewshot.descent import Descended
from kshot.fewshot.folds import Fitted, cross_validated, folds_of
from kshot.fewshot.least_squares import Fit, Prior, gram
from kshot.fewshot.shots import Shots, shifted_by
from springs import poisoned, rattled, ready, start

LEFT_OUT = 0  # the frame whose labels are poisoned
FRAMES = rattled(6)
WRONG = poisoned(FRAMES, [LEFT_OUT], energy=3.0)


@pytest.fixture(scope="module")
def both() -> tuple[Shots, Shots]:
    """The same frames with right labels, and with one that is wrong."""
    model = start()
    return ready(model, FRAMES), ready(model, WRONG)


def linear(some: Shots, folds: list[list[int]], steps: int = 2) -> list[list[Fit]]:
    """Fits of each step that leave out each fold."""
    prior = Prior(np.full(some.rows.jacobian.shape[1], 0.1))
    solved = gram(some.rows, prior).solve()
    return [[fit for fit, _ in step] for step in steps_of(some, solved, steps, folds)]


@pytest.mark.parametrize("count", [2, 4, 5, 7, 23])
def test_folds_leave_out_every_frame_once(count):
    folds = folds_of(count, seed=3)
    assert sorted(np.concatenate(folds).tolist()) == list(range(count))
    assert max(map(len, folds)) - min(map(len, folds)) <= 1


def test_linear_fits_know_nothing_of_the_frames_they_leave_out(both):
    apart = [[LEFT_OUT], [LEFT_OUT, 3], [2]]
    for sound, wrong in zip(*(linear(some, apart) for some in both), strict=True):
        for before, after in zip(sound[:2], wrong[:2], strict=True):
            np.testing.assert_allclose(after.move, before.move, atol=2e-3 * abs(before.move).max())
            np.testing.assert_allclose(after.shifts, before.shifts, atol=2e-3)
        # the fit that keeps the frame believes it.
        assert abs(wrong[2].shifts - sound[2].shifts).max() > 0.02
        assert abs(wrong[2].move - sound[2].move).max() > 0.02 * abs(sound[2].move).max()


def test_cross_validation_sees_the_whole_of_a_wrong_label(both):
    folds = [np.array([number]) for number in range(len(FRAMES))]
    errors = []
    for some in both:
        solved = gram(some.rows, Prior(np.full(some.rows.jacobian.shape[1], 0.1))).solve()
        [[fit, true], *_] = next(steps_of(some, solved, 1, folds))
        errors.append((true + shifted_by(some.rows, fit))[some.rows.frame == LEFT_OUT])
    # rows of a frame begin with its energy.
    assert errors[1][0] - errors[0][0] == pytest.approx(-3.0, abs=0.01)


def test_the_score_is_of_frames_left_out(both):
    # fits that predict their own frames perfectly and the others 2 eV too high.
    some, still = both[0], np.zeros(3)
    folds = [np.array([0, 1, 2]), np.array([3, 4, 5])]
    origin = np.zeros(ravel_pytree(some.start.params)[0].size)
    made = [
        Fitted(Fit(origin, still), np.where(np.isin(some.rows.frame, fold), 2.0, 0.0))
        for fold in folds
    ]
    [found] = cross_validated(some, folds, iter([made]))
    assert found.energy == pytest.approx(2.0)
    assert found.forces == pytest.approx(2.0)


def test_stepwise_fits_are_handed_the_rest_and_shifted_by_the_rest(both):
    folds, handed = [[LEFT_OUT], [2, 3]], []

    def learn(kept):
        handed.append(set(np.asarray(kept).tolist()))
        return both[0].start.params

    sound, wrong = ([fit for fit, _ in learned(some, folds, learn)] for some in both)
    assert sorted(map(sorted, handed)) == sorted(2 * [[1, 2, 3, 4, 5], [0, 1, 4, 5]])
    np.testing.assert_allclose(wrong[0].shifts, sound[0].shifts, atol=1e-5)
    assert abs(wrong[1].shifts - sound[1].shifts).max() > 0.02


def test_fine_tuning_in_a_fold_trains_on_the_rest_only(both, monkeypatch):
    seen, judged = [], []

    def chosen_by(self, params, frames, recipe):
        judged.append({float(frame.energy) for frame in frames})
        return recipe

    def converged(self, params, frames, *rest, **options):
        seen.append({float(one.energy) for one in frames})
        return Descended(params, 0, "patience", (), len(frames))

    monkeypatch.setattr(finetune.Descent, "converged", converged)
    monkeypatch.setattr(finetune.Descent, "with_best_rate", chosen_by)
    some = both[0]
    folds = [[LEFT_OUT], [2, 3]]
    learned(some, folds, finetune.FINETUNE.learner(Problem(some, None, 0)))
    every = {float(one.energy) for one in some.frames}
    expected = [every - {float(some.frames[i].energy) for i in fold} for fold in folds]
    assert sorted(map(sorted, seen)) == sorted(map(sorted, expected))
    assert sorted(map(sorted, judged)) == sorted(map(sorted, expected))

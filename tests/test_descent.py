"""Descents end by patience alone, and what is set aside is never trained on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kshot.fewshot import descent as module
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.adapters.base import Problem
from kshot.fewshot.adapters.finetune import FINETUNE
from kshot.fewshot.adapters.stepwise import learned
from kshot.fewshot.descent import ADAM, LOOK_EVERY, PATIENCE, Descent, Recipe, aside
from kshot.fewshot.jacobian import rows
from kshot.fewshot.shots import shots
from kshot.potentials.packed import Piece
from test_adapt import by_another_start, labelled, start

SLOW = Recipe(rate=1e-3, energy_weight=100.0)  # so slow that 600 steps are far from enough
FAST = Recipe(rate=3e-3, energy_weight=100.0)


@pytest.fixture(scope="module")
def frames() -> list[Piece]:
    """Labels of another model, and noise: a floor that no descent gets below."""
    rng = np.random.default_rng(0)
    return [
        piece._replace(forces=piece.forces + rng.normal(0, 0.02, piece.forces.shape).astype("f4"))
        for piece in to_pieces(start(), by_another_start(labelled(12)))
    ]


@pytest.fixture(scope="module")
def descent(frames) -> Descent:
    model = start()
    return Descent(model.potential, frames, model.dtype)


def poisoned(frames: list[Piece], which) -> list[Piece]:
    """Frames some of whose labels are nonsense: whoever trains on them goes elsewhere."""
    bad = set(np.asarray(which).tolist())
    return [
        piece._replace(energy=piece.energy + 50.0, forces=3.0 - piece.forces) if i in bad else piece
        for i, piece in enumerate(frames)
    ]


def assert_same(ours, theirs):
    for mine, other in zip(*map(jax.tree.leaves, (ours, theirs)), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_run_that_still_gains_is_not_ended_by_any_number_of_steps(descent, frames):
    run = descent.converged(start().params, frames, SLOW)
    assert run.stopped == "patience"
    assert run.best > 600
    assert run.steps >= 2 * run.best + PATIENCE  # the later the best, the longer it waited
    assert run.curve[run.best // LOOK_EVERY].watched < 0.9 * run.curve[600 // LOOK_EVERY].watched


def test_a_run_that_meets_the_guard_says_so(descent, frames, monkeypatch):
    monkeypatch.setattr(module, "GUARD", 100)
    run = descent.converged(start().params, frames, SLOW)
    assert (run.stopped, run.steps) == ("guard", 100)


def test_it_keeps_the_best_parameters_and_halves_its_rate_where_nothing_is_gained(descent, frames):
    run = descent.converged(start().params, frames, FAST)
    watched = [frames[i] for i in aside(len(frames))[0]]
    best = run.curve[run.best // LOOK_EVERY]
    assert descent.loss(run.params, watched, FAST) == pytest.approx(best.watched, rel=1e-6)
    assert best.watched * (1 - module.GAIN) <= min(look.watched for look in run.curve)
    rates = [look.rate for look in run.curve]
    assert rates[0] == FAST.rate
    assert rates[-1] < rates[0] / 4
    assert rates == sorted(rates, reverse=True)


def test_steps_that_only_harm_are_given_up_and_leave_the_start(descent, frames):
    run = descent.converged(start().params, frames, FAST._replace(rate=30.0))
    assert (run.best, run.steps) == (0, PATIENCE)
    assert_same(run.params, start().params)


def test_frames_that_are_watched_are_never_trained_on(descent, frames, monkeypatch):
    monkeypatch.setattr(module, "GUARD", 100)
    watched, rest = aside(len(frames))
    assert sorted([*watched, *rest]) == list(range(len(frames)))
    clean, bad = (
        descent.converged(start().params, some, FAST).curve[1]
        for some in (frames, poisoned(frames, watched))
    )
    assert clean.trained == bad.trained
    assert bad.watched > 10 * clean.watched


def test_folds_do_not_train_on_frames_left_out(frames, monkeypatch):
    monkeypatch.setattr(module, "GUARD", 100)
    model, fold = start(), np.array([1, 5])
    own = rows(model.potential, model.params, frames)
    clean, bad = (
        learned(task, [fold], FINETUNE.learner(Problem(task, None, 0)))[0].fit
        for some in (frames, poisoned(frames, fold))
        for task in [shots(model, some, own)]
    )
    np.testing.assert_array_equal(clean.move, bad.move)
    np.testing.assert_array_equal(clean.shifts, bad.shifts)


def test_a_step_is_adams(descent, frames):
    params, optimiser = start().params, optax.adam(0.01)
    batch = next(descent._batches(frames, 0))
    want, state = params, optimiser.init(params)
    weights = (jnp.asarray(100.0), jnp.asarray(1.0))
    for place in range(LOOK_EVERY):
        packed = jax.tree.map(lambda leaf, place=place: leaf[place], batch)
        slope = jax.grad(descent._loss)(want, *weights, packed)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = optimiser.update(slope, state)
        want = optax.apply_updates(want, updates)
    found, _, _ = descent._leap(params, ADAM.init(params), batch, jnp.asarray(0.01), *weights)
    for ours, theirs in zip(*map(jax.tree.leaves, (found, want)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_refit_sees_every_frame_as_often_as_the_run_did(descent, frames, monkeypatch):
    run = descent.converged(start().params, frames, FAST)
    taken = []
    leap = descent._leap
    monkeypatch.setattr(descent, "_leap", lambda *told: taken.append(float(told[3])) or leap(*told))
    params = descent.refitted(start().params, frames, FAST, run)
    assert len(taken) == round(run.best / LOOK_EVERY * len(frames) / run.trained)
    assert taken == sorted(taken, reverse=True)
    watched = [frames[i] for i in aside(len(frames))[0]]
    assert descent.loss(params, watched, FAST) < 2 * descent.loss(run.params, watched, FAST)


def test_another_level_of_theory_costs_no_precision(descent, frames, monkeypatch):
    monkeypatch.setattr(module, "GUARD", 100)
    far = [piece._replace(energy=piece.energy - 17_000.0) for piece in frames]
    ours, theirs = (descent.converged(start().params, some, FAST) for some in (frames, far))
    for near, other in zip(ours.curve, theirs.curve, strict=True):
        assert other.watched == pytest.approx(near.watched, rel=1e-3)

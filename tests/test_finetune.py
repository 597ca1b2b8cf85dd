"""Fine-tuning as one of the ways to adapt: what it learns, when it stops, who asks for it."""

import jax
import numpy as np
import optax
import pytest

from kshot.core.errors import TaskError
from kshot.fewshot import finetune
from kshot.fewshot.adapt import Adapted, adapt, parts, to_pieces
from kshot.fewshot.finetune import Descent
from kshot.fewshot.methods import EVERY, FINETUNE, USUAL
from kshot.potentials.model import Model
from test_adapt import by_another_start, labelled, start

BOTH = ("shift", FINETUNE)


@pytest.fixture(scope="module")
def frames():
    return by_another_start(labelled(12))


@pytest.fixture(scope="module")
def done(frames) -> Adapted:
    return adapt(start(), frames, methods=BOTH)


def descent_of(model: Model, frames) -> tuple[Descent, list]:
    pieces = to_pieces(model, frames)
    return Descent(model.potential, pieces, model.dtype), pieces


def test_it_wins_where_it_should_and_is_named(done):
    assert [one.method.name for one in done.candidates] == list(BOTH)
    assert done.chosen.method.name == FINETUNE
    assert done.summary()["chosen"]["baseline"]
    shift, tuned = (one.error for one in done.candidates)
    assert tuned.forces < 0.7 * shift.forces


def test_what_is_used_is_what_its_steps_learn_from_all_labels(done, frames):
    descent, pieces = descent_of(start(), frames)
    want = descent.converged(start().params, pieces, finetune.RATE)
    pairs = zip(*map(jax.tree.leaves, (done.model.params, want)), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_same_labels_give_the_same_model(done, frames):
    assert adapt(start(), frames, methods=BOTH).model.digest == done.model.digest


def test_it_is_not_tried_unless_it_is_named():
    assert FINETUNE not in USUAL
    assert set(EVERY) == {*USUAL, FINETUNE}


def test_all_parts_of_the_work_are_told(frames):
    told = []
    adapt(start(), frames, methods=BOTH, told=told.append)
    assert told[:2] == ["derivatives", "shift"]
    assert set(told[2:]) == {FINETUNE}
    assert len(told) == parts(start(), BOTH, len(frames))
    assert parts(start(), USUAL, len(frames)) == len(USUAL)  # this start has no rule of its own


def test_too_few_labels_are_told_before_any_work(frames):
    told = []
    with pytest.raises(TaskError, match="5 labels or more"):
        adapt(start(), frames[:4], methods=BOTH, told=told.append)
    assert not told


def test_a_step_is_adams(frames):
    model = start()
    descent, pieces = descent_of(model, frames[:10])
    (pack,) = descent.packs(pieces)
    optimiser = optax.adam(0.01)
    slope = descent.slope(model.params, pack)[1]
    with jax.numpy_dtype_promotion("standard"):
        updates, _ = optimiser.update(slope, optimiser.init(model.params))
    want = optax.apply_updates(model.params, updates)
    found = descent.stepped(model.params, pieces, 1, 0.01)
    for ours, theirs in zip(*map(jax.tree.leaves, (found, want)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_it_goes_back_to_the_best_where_more_steps_only_harm(frames, monkeypatch):
    monkeypatch.setattr(finetune, "PATIENCE", 40)
    model = start()
    descent, pieces = descent_of(model, frames)
    calls = []
    slope = descent.slope
    descent.slope = lambda *given: calls.append(1) or slope(*given)
    kept = descent.converged(model.params, pieces, 30.0)  # steps far too long
    assert len(calls) < 60  # it gave up early
    for ours, theirs in zip(*map(jax.tree.leaves, (kept, model.params)), strict=True):
        np.testing.assert_array_equal(ours, theirs)

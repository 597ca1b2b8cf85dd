"""Fine-tuning as one of the ways to adapt: what it learns, when it stops, who asks for it."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from kshot.core.errors import TaskError
from kshot.fewshot import descent
from kshot.fewshot.adapt import Adapted, adapt, parts, to_pieces
from kshot.fewshot.adapters import slow, usual
from kshot.fewshot.adapters.finetune import RECIPE
from kshot.fewshot.descent import Descent
from kshot.potentials.model import Model
from test_adapt import by_another_start, labelled, start

FINETUNE, INNER = "finetune", "inner"
BOTH = ("shift", FINETUNE)


@pytest.fixture(scope="module", autouse=True)
def impatient():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(descent, "PATIENCE", 60)
        yield


@pytest.fixture(scope="module")
def frames():
    """Labels of another model, and noise: without it, steps gain for ever."""
    rng = np.random.default_rng(0)
    return [
        frame._replace(labels=replace(frame.labels, forces=noisy))
        for frame in by_another_start(labelled(12))
        for noisy in [frame.labels.forces + rng.normal(0, 0.05, frame.labels.forces.shape)]
    ]


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
    steps, pieces = descent_of(start(), frames)
    recipe = steps.with_best_rate(start().params, pieces, RECIPE)
    want = steps.converged(start().params, pieces, recipe)
    pairs = zip(*map(jax.tree.leaves, (done.model.params, want.params)), strict=True)
    for ours, theirs in pairs:
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_the_same_labels_give_the_same_model(done, frames):
    assert adapt(start(), frames, methods=BOTH).model.digest == done.model.digest


def test_it_is_not_tried_unless_it_is_named():
    assert FINETUNE not in usual(start())
    assert FINETUNE in slow()


def test_all_parts_of_the_work_are_told(frames):
    told = []
    adapt(start(), frames, methods=BOTH, told=told.append)
    assert told[:2] == ["derivatives", "shift"]
    assert set(told[2:]) == {FINETUNE}
    assert len(told) == parts(start(), BOTH, len(frames))
    both = ("shift", INNER)
    assert parts(start(), both, len(frames)) == len(both)  # this start has no rule of its own


def test_too_few_labels_are_told_before_any_work(frames):
    told = []
    with pytest.raises(TaskError, match="5 labels or more"):
        adapt(start(), frames[:4], methods=BOTH, told=told.append)
    assert not told

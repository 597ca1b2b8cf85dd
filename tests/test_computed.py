"""Derivatives that are not held give what held ones give, whatever part of them fits the memory."""

import numpy as np
import pytest

from kshot.atoms import Labelled, Labels
from kshot.fewshot import computed, jacobian
from kshot.fewshot.adapt import adapt, to_pieces
from kshot.fewshot.jacobian import joined, products, rows, rows_at, squares, sums
from springs import rattled, start

ROW = 4.0 * 9  # bytes of a row of the springs' derivatives


def both(memory: float, directions: int | None = 5):
    """The same rows, held and computed; forces of one frame are not known."""
    model, frames = start(), rattled(5)
    silent = Labels(frames[2].labels.energy, np.full((6, 3), np.nan))
    frames[2] = Labelled(frames[2].structure, silent)
    pieces = to_pieces(model, frames)
    return [
        rows(model.potential, model.params, pieces, directions=directions, memory=each)
        for each in (None, memory)
    ]


@pytest.mark.parametrize("held_rows", [1, 7, 100])
def test_products_are_those_of_what_is_held(held_rows, rng):
    held, lazy = (each.jacobian for each in both(held_rows * ROW))
    assert isinstance(lazy, computed.Computed)
    assert lazy.shape == held.shape
    variances = [rng.uniform(0, 2, 9), np.ones(9), np.zeros(9)]
    for ours, theirs in zip(products(lazy, variances), products(held, variances), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    weights = rng.uniform(0, 1, len(held))
    np.testing.assert_allclose(squares(lazy, weights), squares(held, weights), rtol=1e-5)


def test_sums_take_one_derivative_a_frame(monkeypatch, rng):
    held, lazy = (each.jacobian for each in both(ROW))
    asked = []
    slopes = computed.slopes
    monkeypatch.setattr(computed, "slopes", lambda *a: asked.append(len(a[-1])) or slopes(*a))
    weights = rng.standard_normal((3, len(held)))
    np.testing.assert_allclose(sums(lazy, weights), sums(held, weights), rtol=1e-4, atol=1e-4)
    assert asked == [3] * 5  # frames, each along as many directions as there are sums


def test_frames_are_chosen_and_joined(rng):
    held, lazy = both(3 * ROW)
    first = [each.of([3, 1]).jacobian for each in (held, lazy)]
    two = [joined(each.jacobian, part) for each, part in zip((held, lazy), first, strict=True)]
    weights = rng.standard_normal((1, len(two[0])))
    np.testing.assert_allclose(sums(two[1], weights), sums(two[0], weights), rtol=1e-4, atol=1e-4)
    assert two[1].shape == two[0].shape
    with pytest.raises(AssertionError, match="part of a frame"):
        rows_at(lazy.jacobian, np.array([1, 2]))


@pytest.mark.usefixtures("x64")
def test_adaptation_is_the_same_to_rounding(monkeypatch):
    # in float64: in float32 rounding decides where the problem is nearly singular
    model, frames = start().astype("float64"), rattled(6)
    methods = ("shift", "fisher", "relative")
    held = adapt(model, frames, methods=methods)
    monkeypatch.setattr(jacobian, "FEW", 10**6)
    monkeypatch.setattr(jacobian, "MOST_ROWS", 6 * 19)
    lazy = adapt(model, frames, methods=methods, memory=20 * 2 * ROW)
    for ours, theirs in zip(lazy.candidates, held.candidates, strict=True):
        assert (ours.factor, ours.steps) == (theirs.factor, theirs.steps)
        np.testing.assert_allclose(ours.error, theirs.error, rtol=1e-4)
    structure = frames[0].structure
    np.testing.assert_allclose(lazy.forces(structure), held.forces(structure), atol=1e-5)

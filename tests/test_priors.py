"""Priors that are read off a start, who competes for which start, and rows of gigabytes."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from kshot.core import trees
from kshot.core.errors import OptionError
from kshot.fewshot import jacobian, products
from kshot.fewshot.adapt import adapt
from kshot.fewshot.adapters import adapters, usual
from kshot.fewshot.jacobian import FEW, MEMORY, Rows, rows_at, within_bounds
from kshot.fewshot.least_squares import gram
from kshot.fewshot.priors import HEAD, LEARNED, UNSEEN
from kshot.fewshot.slopes import AHEAD, ahead
from kshot.potentials import potentials
from kshot.potentials.model import Model
from springs import rattled, ready, start


def learned(model: Model) -> Model:
    """The same start with a prior that meta-training might have found."""
    logs = {name: np.float64(-2.0) for name, _ in trees.named_leaves(model.params)}
    noises = {"energy_noise": np.float64(-4.0), "force_noise": np.float64(-2.0)}
    return model.with_(learned={LEARNED: {"log_variance": logs, "log_noise": noises}})


def rows_of(derivatives: np.ndarray) -> Rows:
    """One frame of two atoms: its energy and as many forces as there are rows left."""
    count = len(derivatives)
    return Rows(
        derivatives.astype(np.float32),
        np.ones(count),
        np.zeros(count, int),
        np.arange(count) == 0,
        np.array([[2.0, 0.0, 0.0]]),
        (np.zeros((count - 1, 2, 3)),),
    )


def test_relative_variances_are_mean_squares_of_leaves():
    model = start()
    variance = adapters.get("relative").prior(model, ready(model, rattled(2)).rows).variance
    squares = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.mean(leaf**2)), model.params)
    np.testing.assert_allclose(variance, ravel_pytree(squares)[0], rtol=1e-6)
    assert len(np.unique(variance)) > 1


def test_fisher_variances_are_root_reciprocals_of_information():
    model, count = start(), ravel_pytree(start().params)[0].size
    derivatives = np.random.default_rng(0).standard_normal((5, count))
    derivatives[:, 0] *= 100
    derivatives[:, 1] = 0
    given = rows_of(derivatives)
    prior = adapters.get("fisher").prior(model, given)
    noise = np.array([0.01**2 * 2, *[0.1**2] * 4])
    information = np.mean(derivatives**2 / noise[:, None], axis=0)
    ratio = prior.variance * np.sqrt(np.maximum(information, UNSEEN * information.mean()))
    np.testing.assert_allclose(ratio / ratio[0], 1, rtol=1e-5)
    relative = adapters.get("relative").prior(model, given).variance
    np.testing.assert_allclose(information @ prior.variance, information @ relative, rtol=1e-5)


def test_shots_that_say_nothing_of_the_parameters_move_none():
    model = start()
    silent = rows_of(np.zeros((3, ravel_pytree(model.params)[0].size)))
    assert not adapters.get("fisher").prior(model, silent).variance.any()


def test_a_start_without_a_learned_prior_never_lists_meta():
    model = start()
    assert usual(model) == ("shift", "head", "relative", "fisher")
    assert usual(learned(model)) == ("shift", "head", "uniform", "fisher", "meta")
    assert usual(model.with_(learned={"inner": {}}))[-1] == "inner"
    tried = [
        [candidate.method.name for candidate in adapt(which, rattled(4)).candidates]
        for which in (model, learned(model))
    ]
    assert tried == [list(usual(model)), list(usual(learned(model)))]


def test_any_method_may_be_named():
    found = adapt(start(), rattled(3), methods=("shift", "uniform"))
    assert [candidate.method.name for candidate in found.candidates] == ["shift", "uniform"]


def test_so3lr_has_leaves_of_a_readout():
    potential = potentials.example("so3krates")
    names = [name for name, _ in trees.named_leaves(potential.init(jax.random.key(0)))]
    heads = [name for name in names if HEAD in name]
    assert 0 < len(heads) < len(names) / 4


def test_products_are_the_dense_ones(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(1)
    slopes = rng.standard_normal((7, 50)).astype(np.float32)
    single, leafwise = rng.uniform(0, 2, 50), np.repeat([0.0, 0.3, 2.0], [10, 15, 25])
    dense = [(slopes * variance) @ slopes.T for variance in (single, leafwise, np.ones(50))]
    monkeypatch.setattr(products, "MOST_RUNS", 10)
    monkeypatch.setattr(products, "BLOCK", 8)
    found = products.products_of(slopes, [single, leafwise, np.ones(50)])
    for ours, theirs in zip(found, dense, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert products.products_of(slopes, []) == []


def test_a_weighted_product_makes_no_second_copy():
    slopes = np.ones((50, 80_000), np.float32)
    variance = np.linspace(0, 1, slopes.shape[1])
    tracemalloc.start()
    try:
        products.products_of(slopes, [variance])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < slopes.nbytes / 3


def test_directions_are_bounded_by_rows_and_by_memory(monkeypatch: pytest.MonkeyPatch):
    small, large = {"w": np.zeros(20_000, np.float32)}, {"w": np.zeros(530_000, np.float32)}
    assert within_bounds(20, small) == (1500 // 20 - 1, None)
    for frames in (5, 20, 50):
        bounds = within_bounds(frames, large)
        assert bounds.memory is None
        held = 4 * 530_000 * frames * (1 + bounds.directions)
        assert MEMORY * (1 - 2 * frames * 4 * 530_000 / MEMORY) < held <= MEMORY
    assert within_bounds(5000, large).directions == 1
    seen: list[tuple[int, ...]] = []
    filled = jacobian._filled
    monkeypatch.setattr(jacobian, "_filled", lambda *a: seen.append((r := filled(*a)).shape) or r)
    monkeypatch.setattr(jacobian, "FEW", 3)
    three = 4.0 * 9 * 4 * (1 + 3)  # bytes of three directions of nine parameters
    adapt(start(), rattled(4), methods=("shift",), memory=three)
    assert seen == [(4 * (1 + 3), 9)]


def test_what_would_be_too_few_directions_is_computed_instead():
    huge = {"w": np.zeros(4_000_000, np.float32)}
    bounds = within_bounds(50, huge)
    assert bounds.memory == MEMORY
    assert FEW > bounds.directions > int(MEMORY / 16e6) // 50 - 1
    with pytest.raises(OptionError, match=r"derivatives of one frame, 0.032 GB.*got 0.01 GB"):
        within_bounds(50, huge, 1e7)
    # few frames want many directions: no more than fit, and no refusal
    few = within_bounds(2, {"w": np.zeros(20_000_000, np.float32)})
    assert few == (int(MEMORY / 80e6) - 1, MEMORY)


def test_few_frames_are_under_way_at_once():
    begun: list[int] = []
    results = ahead(begun.append(n) or jnp.asarray(n) for n in range(20))
    for number, value in enumerate(results):
        assert int(value) == number
        assert len(begun) <= number + AHEAD
    assert len(begun) == 20


def test_first_frames_are_seen_and_not_copied():
    whole = ready(start(), rattled(5)).rows
    part = gram(whole, adapters.get("relative").prior(start(), whole)).of(range(3))
    assert np.shares_memory(part.jacobian, whole.jacobian)
    assert np.shares_memory(part.rows.jacobian, whole.jacobian)
    order = np.array([4, 2, 3])
    np.testing.assert_array_equal(rows_at(whole.jacobian, order), whole.jacobian[order])


def test_products_that_rounding_makes_indefinite_are_solved():
    rows = ready(start(), rattled(4)).rows
    problem = gram(rows, adapters.get("uniform").prior(start(), rows))
    largest = problem.product.diagonal().max()
    values, vectors = np.linalg.eigh(problem.product)
    values[0] = -1.5e-6 * largest  # seen of 920 rows of SO3LR
    broken = replace(problem, product=(vectors * values) @ vectors.T)
    for factor in (1.0, 1e4):
        assert np.isfinite(broken.solve(factor).left_out()).all()

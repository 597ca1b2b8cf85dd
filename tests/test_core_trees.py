"""Arithmetic on pytrees keeps structure, dtypes and strong types."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kshot.core import trees

DETERMINISTIC = settings(derandomize=True, database=None, deadline=None, max_examples=30)
SHAPES = st.lists(st.lists(st.integers(0, 3), max_size=3).map(tuple), min_size=1, max_size=4)


def drawn(shapes, seed):
    rng = np.random.default_rng(seed)
    return {f"leaf{i}": np.asarray(rng.normal(size=s), np.float32) for i, s in enumerate(shapes)}


@DETERMINISTIC
@given(SHAPES, st.integers(0, 100))
def test_arithmetic_is_that_of_the_flat_vectors(shapes, seed):
    a, b = drawn(shapes, seed), drawn(shapes, seed + 1)

    def flat(tree):
        return np.concatenate([np.ravel(tree[name]) for name in a] or [np.zeros(0)])

    np.testing.assert_allclose(flat(trees.add(a, b)), flat(a) + flat(b), rtol=1e-6)
    np.testing.assert_allclose(flat(trees.subtract(a, b)), flat(a) - flat(b), rtol=1e-6)
    np.testing.assert_allclose(flat(trees.scale(2.5, a)), 2.5 * flat(a), rtol=1e-6)
    np.testing.assert_allclose(trees.dot(a, b), flat(a) @ flat(b), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(trees.norm(a), np.linalg.norm(flat(a)), rtol=1e-5)
    assert trees.count(jax.tree.map(jnp.asarray, a)) == flat(a).size
    assert trees.nbytes(a) == flat(a).nbytes


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.float32, jnp.float64])
def test_dtypes_are_kept_under_strict_promotion(dtype):
    tree = {"w": jnp.ones(2, dtype), "b": jnp.zeros((), dtype)}
    for result in (trees.add(tree, tree), trees.scale(0.5, tree), trees.zeros_like(tree)):
        assert {leaf.dtype for leaf in jax.tree.leaves(result)} == {jnp.dtype(dtype)}
    assert trees.dot(tree, tree).dtype == dtype


def test_finite_means_every_floating_value():
    assert bool(trees.all_finite({"x": jnp.ones(2), "n": jnp.arange(2), "none": None}))
    assert bool(trees.all_finite({"empty": jnp.zeros((0, 3))}))
    assert bool(trees.all_finite(None))
    for bad in (jnp.nan, jnp.inf, -jnp.inf):
        assert not bool(trees.all_finite([jnp.ones(3), jnp.asarray([0.0, bad])]))


def test_where_lets_no_nan_through():
    good, bad = {"x": jnp.ones(2)}, {"x": jnp.full(2, jnp.nan)}
    assert trees.where(jnp.asarray(True), good, bad)["x"].tolist() == [1, 1]
    assert trees.where(jnp.asarray(False), bad, good)["x"].tolist() == [1, 1]


def test_strong_types():
    weak = jnp.asarray(0.1)
    tree = trees.strong({"weak": weak, "float": 0.1, "int": 3, "callable": jnp.tanh, "none": None})
    assert weak.weak_type
    assert not tree["weak"].weak_type
    assert tree["float"].dtype == jnp.float32
    assert not tree["int"].weak_type
    assert tree["callable"] is jnp.tanh


def test_names_of_leaves():
    tree = {"layers": [{"weight": 1}, (2, 3)]}
    names = [name for name, _ in trees.named_leaves(tree)]
    assert names == ["layers[0].weight", "layers[1][0]", "layers[1][1]"]
    assert trees.named_leaves(1.0) == [("(root)", 1.0)]


def test_nothing_flows_through_stop_gradient():
    grad = jax.grad(lambda x: jnp.sum(trees.stop_gradient({"x": x, "name": "n"})["x"] ** 2))
    assert grad(jnp.ones(2)).tolist() == [0, 0]

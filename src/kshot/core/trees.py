"""Small arithmetic on pytrees: the few words the engine speaks all the time."""

from __future__ import annotations

import functools
import math
import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree, Scalar


def add(a: PyTree, b: PyTree) -> PyTree:
    """Return ``a + b``, leaf by leaf."""
    return jax.tree.map(jnp.add, a, b)


def subtract(a: PyTree, b: PyTree) -> PyTree:
    """Return ``a - b``, leaf by leaf."""
    return jax.tree.map(jnp.subtract, a, b)


def scale(factor: Array | float, tree: PyTree) -> PyTree:
    """Return ``factor * tree``; each leaf keeps its dtype."""
    return jax.tree.map(lambda leaf: jnp.asarray(factor, leaf.dtype) * leaf, tree)


def zeros_like(tree: PyTree) -> PyTree:
    """Return zeros of the same structure, shapes and dtypes."""
    return jax.tree.map(jnp.zeros_like, tree)


def dot(a: PyTree, b: PyTree) -> Scalar:
    """Return the inner product over all leaves."""
    products = [jnp.vdot(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)]
    return functools.reduce(jnp.add, products) if products else jnp.zeros(())


def norm(tree: PyTree) -> Scalar:
    """Return the Euclidean norm over all leaves."""
    return jnp.sqrt(dot(tree, tree))


def squared_norm(tree: PyTree) -> Scalar:
    """Return the squared Euclidean norm over all leaves, by way of one vector.

    One long sum instead of a short one per leaf: quicker where leaves are small, at the price of a
    copy of the tree.
    """
    leaves = jax.tree.leaves(tree)
    if not leaves:
        return jnp.zeros(())
    widest = max((leaf.dtype for leaf in leaves), key=lambda dtype: dtype.itemsize)
    flat = jnp.concatenate([leaf.ravel().astype(widest) for leaf in leaves])
    return jnp.vdot(flat, flat)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether every floating value in the tree is finite (zero-size leaves count as finite)."""
    checks = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree) if eqx.is_inexact_array(x)]
    return jnp.all(jnp.stack(checks)) if checks else jnp.asarray(True)


def where(condition: Array, a: PyTree, b: PyTree) -> PyTree:
    """Choose ``a`` or ``b`` leaf by leaf under one scalar condition; non-arrays come from ``a``."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y) if eqx.is_array(x) else x, a, b)


def stop_gradient(tree: PyTree) -> PyTree:
    """Return the tree with every array cut from differentiation."""
    return jax.tree.map(lambda x: jax.lax.stop_gradient(x) if eqx.is_array(x) else x, tree)


def strong(tree: PyTree) -> PyTree:
    """Turn every array-like leaf into an array of its own, strong dtype.

    ``jnp.full(n, 0.1)`` is weakly typed: a state made of it changes type after one step and
    recompiles. Callables and other non-numeric leaves pass through.
    """

    def fix(leaf: object) -> object:
        if not eqx.is_array_like(leaf):
            return leaf
        array = jnp.asarray(leaf)
        return jax.lax.convert_element_type(array, array.dtype)

    return jax.tree.map(fix, tree)


def count(tree: PyTree) -> int:
    """Return the number of scalars in the tree's arrays."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree) if eqx.is_array(leaf))


def nbytes(tree: PyTree) -> int:
    """Return the number of bytes in the tree's arrays."""
    kinds = (jax.Array, jax.ShapeDtypeStruct, np.ndarray)
    leaves = [leaf for leaf in jax.tree.leaves(tree) if isinstance(leaf, kinds)]
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)


def named_leaves(tree: PyTree) -> list[tuple[str, Any]]:
    """Return ``(name, leaf)`` pairs; names read like ``layers[0].weight``, or ``(root)``."""
    pairs = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(_name(path), leaf) for path, leaf in pairs]


def _name(path: tuple) -> str:
    # a key of a dictionary reads like an attribute: ['layers'][0]['weight'] as layers[0].weight
    text = re.sub(r"\['(\w+)'\]", r".\1", jax.tree_util.keystr(path))
    return text.lstrip(".") or "(root)"

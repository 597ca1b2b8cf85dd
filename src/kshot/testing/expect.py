"""What contracts are made of: equal values, equal types, promises held."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from kshot.core import trees
from kshot.core.errors import ContractError

# a leaf whose values are this small beside the largest leaf is compared on the scale of the latter.
SMALL_LEAF = 1e-6


def expect_close(what: str, got: PyTree, want: PyTree, tolerance: float) -> None:
    """Raise unless two trees agree, leaf by leaf, relative to each leaf's largest value.

    Args:
        what: what is compared, for the message.
        got: what came.
        want: what it should be, a tree of the same structure.
        tolerance: allowed relative difference.

    Raises:
        ContractError: a leaf differs; it is named with both its values.
    """
    if jax.tree.structure(got) != jax.tree.structure(want):
        told = f"{jax.tree.structure(got)}"
        raise ContractError(f"{what} shaped like {jax.tree.structure(want)}", told, "Match them.")
    wanted = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(want)]
    largest = max((float(np.max(np.abs(leaf), initial=0)) for leaf in wanted), default=0.0)
    for (name, leaf), target in zip(trees.named_leaves(got), wanted, strict=True):
        scale = max(float(np.max(np.abs(target), initial=0)), SMALL_LEAF * largest)
        error = float(np.max(np.abs(np.asarray(leaf, np.float64) - target), initial=0))
        if not error <= tolerance * scale:  # "not ≤" also catches NaN
            raise ContractError(
                f"{what}: {name} = {target} to {tolerance:.0e} relative",
                f"{leaf}, off by {error / (scale or 1.0):.1e}",
                "One of the two ways to compute it is wrong.",
            )


def expect_same_type(what: str, before: PyTree, after: PyTree) -> None:
    """Raise unless structure, shapes, dtypes and weak types are equal.

    Args:
        what: what is compared, for the message.
        before: arrays, or shapes from ``jax.eval_shape``.
        after: the same, one step later.

    Raises:
        ContractError: a leaf changed its type, so that every second step would compile again.
    """
    todo = "State must keep its type: give dtypes explicitly (see kshot.core.trees.strong)."
    first, second = (jax.eval_shape(lambda tree=tree: tree) for tree in (before, after))
    if jax.tree.structure(first) != jax.tree.structure(second):
        told = str(jax.tree.structure(second))
        raise ContractError(f"{what} of structure {jax.tree.structure(first)}", told, todo)
    leaves = jax.tree.leaves(second)
    for (name, old), new in zip(trees.named_leaves(first), leaves, strict=True):
        if _type(old) != _type(new):
            raise ContractError(f"{what}: {name} to stay {_type(old)}", _type(new), todo)


def _type(leaf: Any) -> str:  # noqa: ANN401 - arrays or shapes
    weak = " (weak)" if getattr(leaf, "weak_type", False) else ""
    return f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}{weak}"


def expect(held: bool, expected: str, got: object, todo: str) -> None:
    """Raise ContractError unless a promise held."""
    if not held:
        raise ContractError(expected, str(got), todo)

"""A learner: initialisation and inner rule. Everything meta-learned is one of its leaves."""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.core
import jax.numpy as jnp
from jaxtyping import PyTree

from kshot.core import trees
from kshot.core.errors import ParameterError
from kshot.meta.rules.base import InnerRule

Where = Callable[[PyTree], PyTree]


class Learner(eqx.Module):
    """What the outer loop trains.

    Args:
        params: the initialisation θ, a pytree of floating arrays.
        rule: the inner rule; its arrays (rates, prior precisions, damping) are leaves too.
        moves: for each leaf of ``params`` in order, whether the inner rule may move it.
    """

    params: PyTree
    rule: InnerRule
    moves: tuple[bool, ...] = eqx.field(static=True)

    def split(self) -> tuple[PyTree, PyTree]:
        """Return ``(moving, still)``: trees like ``params``, ``None`` where the other is not."""
        mask = jax.tree.unflatten(jax.tree.structure(self.params), self.moves)
        return eqx.partition(self.params, mask)


def make_learner(
    params: PyTree, rule: InnerRule, steps: int, adapts: Where | None = None
) -> Learner:
    """Make a learner around parameters.

    Args:
        params: any pytree of floating arrays (or Python floats).
        rule: an inner rule; it is prepared for these parameters and this number of steps.
        steps: the number of inner steps, for rules that learn something per step.
        adapts: ``params -> subtree`` (or tuple of subtrees) that the inner rule moves; all if None.

    Raises:
        ParameterError: no parameters, a leaf that is not floating, or nothing to adapt.
    """
    params = trees.strong(params)
    _check(params)
    moves = tuple(jax.tree.leaves(selection(params, adapts)))
    if not any(moves):
        todo = "Let adapts= return at least one leaf of the parameters."
        raise ParameterError("at least one leaf that adapts", "none", todo)
    moving, _ = Learner(params, rule, moves).split()
    return Learner(
        params, _in_precision_of(moving, trees.strong(rule.prepare(moving, steps))), moves
    )


def _in_precision_of(params: PyTree, rule: InnerRule) -> InnerRule:
    """Cast the rule's numbers to the parameters' dtype, where these have only one.

    A rate made in the default precision would promote the steps of a model in any other.
    """
    dtypes = {leaf.dtype for leaf in jax.tree.leaves(params)}
    if len(dtypes) > 1:
        return rule
    (dtype,) = dtypes
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, rule)


def selection(params: PyTree, where: Where | None) -> PyTree:
    """Return a tree of booleans, True on the leaves that ``where`` picks (all if None)."""
    if where is None:
        return jax.tree.map(lambda _: True, params)
    # copies: each leaf is an object of its own, of the type ``where`` may be annotated with.
    leaves = jax.tree.map(jnp.copy, params)
    known = {id(leaf) for leaf in jax.tree.leaves(leaves)}
    names = ", ".join(name for name, _ in trees.named_leaves(params))
    todo = f"The leaves are: {names}."
    try:
        picked = {id(leaf) for leaf in jax.tree.leaves(where(leaves))}
    except (KeyError, IndexError, AttributeError, TypeError) as error:
        raise ParameterError("a selection of parameter leaves", f"{error!r}", todo) from error
    if not picked <= known:
        got = "something that is not a leaf of the parameters"
        raise ParameterError("a selection of parameter leaves", got, todo)
    return jax.tree.map(lambda leaf: id(leaf) in picked, leaves)


def _check(params: PyTree) -> None:
    leaves = trees.named_leaves(params)
    if not leaves:
        raise ParameterError("a pytree with arrays in it", "no leaves", "Give the parameters.")
    for name, leaf in leaves:
        if not eqx.is_array(leaf):
            todo = "Split the model: params, static = eqx.partition(model, eqx.is_inexact_array)."
            raise ParameterError(
                "arrays as parameter leaves", f"{name}: {type(leaf).__name__}", todo
            )
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            todo = "Cast it to a floating dtype, or keep it out of the parameters (close over it)."
            raise ParameterError("floating parameter leaves", f"{name}: {leaf.dtype}", todo)
        if not isinstance(leaf, jax.core.Tracer) and not bool(jnp.all(jnp.isfinite(leaf))):
            todo = "Start from finite values: no gradient leads back from NaN."
            raise ParameterError("finite parameters", f"{name}: not finite", todo)

"""Three ways to differentiate the inner gradient. A meta-gradient is a loop plus one of these.

For a loss L(φ, c) with gradient g(φ, c), the backward pass of the outer loop needs vᵀ ∂g:

* ``Reverse``: reverse over reverse, plain autodiff; exact.
* ``ForwardOverReverse``: the Hessian is symmetric, so vᵀ ∂g/∂φ = ∂(∇_φ L)[v] and
  vᵀ ∂g/∂c = ∂(∇_c L)[v]: one forward derivative of the joint gradient along v (Kemaev et al. 2025,
  arXiv 2505.00793); exact, and needs nothing kept but φ.
* ``Detached``: nothing flows through the gradient; first order.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree, Scalar

from kshot.core import trees
from kshot.meta.inner_loss import Context
from kshot.meta.loss import Extra

Graded = tuple[tuple[Scalar, Extra], PyTree]


class Reverse(eqx.Module):
    """Reverse over reverse: plain autodiff."""

    def enter(self, tree: PyTree) -> PyTree:
        """Return the tree as it is."""
        return tree

    def value_and_grad(self, fn: Callable, moving: PyTree, context: Context) -> Graded:
        """Return value and gradient, differentiable any number of times."""
        return jax.value_and_grad(fn, has_aux=True)(moving, context)


class Detached(eqx.Module):
    """First order: the inner gradient counts as a constant."""

    def enter(self, tree: PyTree) -> PyTree:
        """Return the tree cut from differentiation."""
        return trees.stop_gradient(tree)

    def value_and_grad(self, fn: Callable, moving: PyTree, context: Context) -> Graded:
        """Return value and gradient of the cut inputs."""
        moving, context = self.enter((moving, context))
        return jax.value_and_grad(fn, has_aux=True)(moving, context)


class ForwardOverReverse(eqx.Module):
    """Exact, by one forward derivative of the gradient in the backward pass."""

    def enter(self, tree: PyTree) -> PyTree:
        """Return the tree as it is."""
        return tree

    def value_and_grad(self, fn: Callable, moving: PyTree, context: Context) -> Graded:
        """Return value and gradient; the backward pass differentiates it along a direction."""
        floating, rest = eqx.partition(context, eqx.is_inexact_array)
        return _forward_over_reverse((moving, floating), rest, fn)


@eqx.filter_custom_vjp
def _forward_over_reverse(inputs: tuple, rest: PyTree, fn: Callable) -> Graded:
    moving, floating = inputs
    return jax.value_and_grad(fn, has_aux=True)(moving, eqx.combine(floating, rest))


@_forward_over_reverse.def_fwd
def _forward(perturbed: PyTree, inputs: tuple, rest: PyTree, fn: Callable) -> tuple[Graded, None]:
    del perturbed
    moving, floating = inputs
    return jax.value_and_grad(fn, has_aux=True)(moving, eqx.combine(floating, rest)), None


@_forward_over_reverse.def_bwd
def _backward(
    residuals: None,
    cotangent: tuple,  # shaped like Graded, None where nothing flows
    perturbed: PyTree,
    inputs: tuple,
    rest: PyTree,
    fn: Callable,
) -> tuple:
    del residuals, perturbed
    moving, floating = inputs
    (value_bar, _), grad_bar = cotangent
    direction = jax.tree.map(
        lambda leaf, bar: jnp.zeros_like(leaf) if bar is None else bar, moving, grad_bar
    )

    def joint_gradient(moving: PyTree) -> tuple:
        value = lambda pair: fn(pair[0], eqx.combine(pair[1], rest))[0]  # noqa: E731
        return jax.grad(value)((moving, floating))

    first, second = jax.jvp(joint_gradient, (moving,), (direction,))
    if value_bar is None:
        return second
    return jax.tree.map(lambda g, h: value_bar * g + h, first, second)


REVERSE, DETACHED, FORWARD_OVER_REVERSE = Reverse(), Detached(), ForwardOverReverse()

"""Hand-written JAX forms of one computation: k SGD steps, differentiable in the start point.

All but `first_order` have the same derivative; they differ in what the backward pass keeps and
what it computes again.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax

Params = Any
# (parameters, x, y) -> scalar
Loss = Callable[[Params, jax.Array, jax.Array], jax.Array]
# (parameters, x, y) -> adapted parameters
Adapt = Callable[[Params, jax.Array, jax.Array], Params]
# Hessian and gradient share this form: (parameters, x, y) -> gradient
Gradient = Adapt


def _sgd(gradient: Gradient, rate: float) -> Adapt:
    def step(params: Params, x: jax.Array, y: jax.Array) -> Params:
        return jax.tree.map(lambda p, g: p - rate * g, params, gradient(params, x, y))

    return step


def _scan(step: Adapt, steps: int) -> Adapt:
    def adapt(params: Params, x: jax.Array, y: jax.Array) -> Params:
        return jax.lax.scan(lambda p, _: (step(p, x, y), None), params, None, length=steps)[0]

    return adapt


def _python_loop(step: Adapt, steps: int) -> Adapt:
    # Unlike a scan it leaves the first step's parameters unbatched under vmap over tasks: one
    # large matrix product for all tasks instead of one small product per task.
    def adapt(params: Params, x: jax.Array, y: jax.Array) -> Params:
        for _ in range(steps):
            params = step(params, x, y)
        return params

    return adapt


# Inside a scan XLA cannot merge the recomputation with the first computation, so the barrier
# that jax.checkpoint otherwise needs can go.
_checkpoint = partial(jax.checkpoint, prevent_cse=False)


def _nest(step: Adapt, steps: int) -> Adapt:
    inner = max(d for d in range(1, math.isqrt(steps) + 1) if steps % d == 0)
    return _scan(_checkpoint(_scan(step, inner)), steps // inner)


def linearized(loss: Loss) -> Gradient:
    """The gradient, whose backward pass applies the stored linear map v -> Hv: the Hessian is
    symmetric, so the map is its own transpose."""
    gradient = jax.grad(loss)

    @jax.custom_vjp
    def with_map(params: Params, x: jax.Array, y: jax.Array) -> Params:
        return gradient(params, x, y)

    def forward(params: Params, x: jax.Array, y: jax.Array) -> tuple[Params, Any]:
        return jax.linearize(lambda p: gradient(p, x, y), params)

    def backward(hessian: Any, v: Params) -> tuple[Params, None, None]:
        return hessian(v), None, None

    with_map.defvjp(forward, backward)
    return with_map


def recomputed(loss: Loss) -> Gradient:
    """The gradient, whose backward pass computes Hv forward-over-reverse from the parameters."""
    gradient = jax.grad(loss)

    @jax.custom_vjp
    def with_jvp(params: Params, x: jax.Array, y: jax.Array) -> Params:
        return gradient(params, x, y)

    def forward(params: Params, x: jax.Array, y: jax.Array) -> tuple[Params, Any]:
        return gradient(params, x, y), (params, x, y)

    def backward(saved: Any, v: Params) -> tuple[Params, None, None]:
        params, x, y = saved
        return jax.jvp(lambda p: gradient(p, x, y), (params,), (v,))[1], None, None

    with_jvp.defvjp(forward, backward)
    return with_jvp


def _constant(loss: Loss) -> Gradient:
    gradient = jax.grad(loss)
    return lambda params, x, y: jax.lax.stop_gradient(gradient(params, x, y))


def make(name: str, loss: Loss, rate: float, steps: int, *, small: bool) -> Adapt:
    """The adaptation called `name`. `small` problems loop in Python where that costs no memory
    worth having; large ones scan, since in a Python loop XLA merges what a checkpoint or a
    recomputation set out to compute twice, and saves nothing."""
    loop = _python_loop if small else _scan
    match name:
        case "unrolled":
            return loop(_sgd(jax.grad(loss), rate), steps)
        case "checkpoint":
            return _scan(_checkpoint(_sgd(jax.grad(loss), rate)), steps)
        case "nested":
            return _nest(_checkpoint(_sgd(jax.grad(loss), rate)), steps)
        case "linearize":
            return loop(_sgd(linearized(loss), rate), steps)
        case "recompute":
            return loop(_sgd(recomputed(loss), rate), steps)
        case "recompute_nested":
            return _nest(_sgd(recomputed(loss), rate), steps)
        case "first_order":
            return loop(_sgd(_constant(loss), rate), steps)
    raise ValueError(f"no formulation called {name!r}")

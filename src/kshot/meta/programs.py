"""Questions answered from a traced program, before anything is compiled or run."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import PyTree


def trace(fn: Callable, *args: PyTree) -> ClosedJaxpr:
    """Return the program of ``fn`` on arguments of these shapes."""
    return jax.make_jaxpr(fn)(*args)


def used_inputs(program: ClosedJaxpr) -> list[bool]:
    """Return, for each input, whether any output depends on it."""
    jaxpr = program.jaxpr
    return dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))[1]


def depends_on_first(fn: Callable, first: PyTree, *others: PyTree) -> bool:
    """Whether ``fn(first, *others)`` depends on its first argument at all."""
    count = len(jax.tree.leaves(first))
    return any(used_inputs(trace(fn, first, *others))[:count])


def always_zero(fn: Callable, *args: PyTree) -> bool:
    """Whether every output is zero whatever the inputs: the sign of a gradient that was cut."""
    program = trace(fn, *args)
    if any(used_inputs(program)):
        return False
    inputs = [jnp.zeros(v.aval.shape, v.aval.dtype) for v in program.jaxpr.invars]
    outputs = jax.core.eval_jaxpr(program.jaxpr, program.consts, *inputs)
    return not any(bool(jnp.any(out != 0)) for out in outputs)

"""Questions answered from a traced program, before anything is compiled or run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, jaxprs_in_params
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
    with jax.ensure_compile_time_eval():  # this is asked while a step is traced
        inputs = [jnp.zeros(v.aval.shape, v.aval.dtype) for v in program.jaxpr.invars]
        outputs = jax.core.eval_jaxpr(program.jaxpr, program.consts, *inputs)
        return not any(bool(jnp.any(out != 0)) for out in outputs)


PRODUCTS = ("dot_general", "conv", "scatter", "gather", "sort", "cholesky", "triangular_solve")


def product_bytes(program: ClosedJaxpr) -> int:
    """Return the bytes of all results that a compiler must store.

    Elementwise work fuses into its neighbours; products, gathers and factorisations do not.
    """
    return _product_bytes(program.jaxpr)


def _product_bytes(jaxpr: Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        if equation.primitive.name.startswith(PRODUCTS):
            total += sum(_nbytes(v.aval) for v in equation.outvars)
        inner = sum(_product_bytes(sub) for sub in jaxprs_in_params(equation.params))
        total += inner * equation.params.get("length", 1)
    return total


def _nbytes(aval: Any) -> int:  # noqa: ANN401 - every result of a product has shape and dtype
    return aval.size * aval.dtype.itemsize

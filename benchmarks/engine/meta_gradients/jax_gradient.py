"""The hand-written JAX formulations."""

import formulations
import jax
import jax.numpy as jnp
from entries.jax_common import Params, mse
from wide_mlp import WideProblem

from meta_gradients import MetaGradient


def build(problem: WideProblem, strategy: str) -> MetaGradient:
    adapt = formulations.make(strategy, mse, problem.inner_rate, problem.inner_steps, small=False)

    def query_loss(params: Params, *points: jax.Array) -> jax.Array:
        support_x, support_y, query_x, query_y = points
        return mse(adapt(params, support_x, support_y), query_x, query_y)

    params = jax.tree.map(jnp.asarray, problem.weights)
    points = [
        jnp.asarray(a)
        for a in (problem.support_x, problem.support_y, problem.query_x, problem.query_y)
    ]
    compiled = jax.jit(jax.grad(query_loss)).lower(params, *points).compile()
    return MetaGradient(
        call=lambda: jax.tree.leaves(jax.block_until_ready(compiled(params, *points))),
        compiler_bytes=compiled.memory_analysis().temp_size_in_bytes,
    )

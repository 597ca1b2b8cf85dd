"""What the hand-written JAX entries share: the model, its loss, and the outer step."""

from collections.abc import Callable
from typing import Any

import formulations
import jax
import jax.numpy as jnp
import numpy as np
import optax
from sinusoid import Problem

from entries import Run

Params = Any
Batch = tuple[jax.Array, jax.Array, jax.Array, jax.Array]

# Long enough that the device call itself does not count, short enough for the slowest entry.
STEPS_PER_CALL = 100


def predict(params: Params, x: jax.Array) -> jax.Array:
    for matrix, bias in params[:-1]:
        x = jax.nn.relu(x @ matrix + bias)
    matrix, bias = params[-1]
    return x @ matrix + bias


def mse(params: Params, x: jax.Array, y: jax.Array) -> jax.Array:
    return jnp.mean((predict(params, x) - y) ** 2)


def device_tasks(problem: Problem) -> Batch:
    return tuple(
        jnp.asarray(a)
        for a in (problem.support_x, problem.support_y, problem.query_x, problem.query_y)
    )


def outer_step(
    problem: Problem, formulation: str
) -> tuple[optax.GradientTransformation, Callable[[Any, Batch], tuple[Any, jax.Array]]]:
    adapt = formulations.make(formulation, mse, problem.inner_rate, problem.inner_steps, small=True)
    adam = optax.adam(problem.outer_rate)

    def query_loss(params: Params, batch: Batch) -> jax.Array:
        def one_task(support_x: jax.Array, support_y: jax.Array, *query: jax.Array) -> jax.Array:
            return mse(adapt(params, support_x, support_y), *query)

        return jnp.mean(jax.vmap(one_task)(*batch))

    def step(carry: Any, batch: Batch) -> tuple[Any, jax.Array]:
        params, adam_state = carry
        loss, gradient = jax.value_and_grad(query_loss)(params, batch)
        updates, adam_state = adam.update(gradient, adam_state, params)
        return (optax.apply_updates(params, updates), adam_state), loss

    return adam, step


def scan_run(
    problem: Problem, step: Callable[[Any, Batch], tuple[Any, jax.Array]], carry: Any
) -> Run:
    """Run `step` with many outer steps to a device call."""
    tasks = device_tasks(problem)

    def many(carry: Any, tasks: Batch, batch_numbers: jax.Array) -> tuple[Any, jax.Array]:
        return jax.lax.scan(
            lambda c, i: step(c, jax.tree.map(lambda a: a[i], tasks)), carry, batch_numbers
        )

    compiled = jax.jit(many, donate_argnums=0)
    # A copy, because donation would otherwise take the caller's own arrays.
    carry = jax.tree.map(jnp.copy, carry)
    done = 0

    def run(steps: int) -> np.ndarray:
        nonlocal carry, done
        losses = []
        for start in range(done, done + steps, STEPS_PER_CALL):
            stop = min(start + STEPS_PER_CALL, done + steps)
            carry, some = compiled(carry, tasks, np.arange(start, stop) % problem.batches)
            losses.append(some)
        done += steps
        return np.concatenate(losses)

    return run

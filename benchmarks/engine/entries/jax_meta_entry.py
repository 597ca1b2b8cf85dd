"""jax_meta's MAML, with the squared loss in place of its classification loss.

Its `step` is a jit of `train_step`; here `train_step` runs inside a scan, which is faster.
"""

from collections import namedtuple
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from sinusoid import Problem

from entries import NotInstalledError, Run
from entries.jax_common import Batch, mse, scan_run

try:
    from jax_meta.metalearners import MAML
except ModuleNotFoundError as missing:
    raise NotInstalledError(f"jax_meta is not installed ({missing})") from missing

Data = namedtuple("Data", ["inputs", "targets"])


class Regression(MAML):
    def loss(self, params: Any, state: Any, inputs: Any, targets: Any, args: Any) -> Any:
        loss = mse(params, inputs, targets)
        return loss, (state, {"loss": loss})


def build(problem: Problem) -> Run:
    params = jax.tree.map(jnp.asarray, problem.weights)
    model = SimpleNamespace(init=lambda key: (params, {}))
    learner = Regression(model, num_steps=problem.inner_steps, alpha=problem.inner_rate)
    carry = learner.init(jax.random.key(0), optax.adam(problem.outer_rate))

    def step(carry: Any, batch: Batch) -> tuple[Any, jax.Array]:
        params, state, logs = learner.train_step(*carry, Data(*batch[:2]), Data(*batch[2:]), ())
        return (params, state), jnp.mean(logs["outer/loss"])

    return scan_run(problem, step, carry)

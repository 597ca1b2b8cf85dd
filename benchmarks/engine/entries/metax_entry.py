"""metax's MAML (github.com/smonsays/metax; it is not on PyPI, and PyPI's package called metax is
something else, so it is timed only where somebody has installed it).

Its `update` is meant to be jitted; here it runs inside a scan, which is faster.
"""

from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from sinusoid import Problem

from entries import NotInstalledError, Run
from entries.jax_common import Batch, predict, scan_run

try:
    import metax.data
    import metax.learner
    import metax.module
except ImportError as missing:
    raise NotInstalledError("metax is not installed (it is not on PyPI)") from missing


def squared_error(
    *, pred: jax.Array, target: jax.Array, **_: Any
) -> tuple[jax.Array, dict[str, jax.Array]]:
    loss = jnp.mean((pred - target) ** 2)
    return loss, {"loss": loss}


def build(problem: Problem) -> Run:
    params = jax.tree.map(jnp.asarray, problem.weights)
    network = SimpleNamespace(
        init=lambda rng, x, is_training: (params, {}),
        apply=lambda params, state, rng, x, is_training: (predict(params, x), state),
    )
    learner = metax.learner.ModelAgnosticMetaLearning(
        meta_model=metax.module.LearnedInit(squared_error, squared_error, network, None),
        batch_size=None,
        steps_inner=problem.inner_steps,
        optim_fn_inner=optax.sgd(problem.inner_rate),
        optim_fn_outer=optax.adam(problem.outer_rate),
        first_order=False,
    )
    rng = jax.random.key(0)  # nothing here draws from it

    def step(state: Any, batch: Batch) -> tuple[Any, jax.Array]:
        tasks = metax.data.MetaDataset(
            metax.data.Dataset(*batch[:2]), metax.data.Dataset(*batch[2:])
        )
        state, metrics = learner.update(rng, state, tasks)
        return state, metrics["loss_outer"]

    return scan_run(problem, step, learner.reset(rng, problem.support_x[0, 0]))

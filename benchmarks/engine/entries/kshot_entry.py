"""kshot.meta: MAML by `train`."""

import optax
from sinusoid import Problem

from entries import Run
from entries.jax_common import mse
from entries.kshot_common import trained
from kshot import meta


def loss(params: object, data: tuple) -> object:
    return mse(params, *data)


def algorithm(problem: Problem) -> meta.MetaAlgorithm:
    return meta.maml(
        loss,
        rule=meta.rules.sgd(problem.inner_rate),
        steps=problem.inner_steps,
        outer=optax.adam(problem.outer_rate),
    )


def build(problem: Problem) -> Run:
    return trained(problem, algorithm(problem))

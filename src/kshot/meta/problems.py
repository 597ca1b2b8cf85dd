"""Small public distributions of tasks to try an algorithm on: sinusoids and quadratics."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from kshot.meta.loss import SumOfSquares
from kshot.meta.task import Task

Layers = list[dict[str, Array]]


def mlp(key: PRNGKeyArray, sizes: Sequence[int] = (1, 40, 40, 1)) -> Layers:
    """Return the parameters of a multilayer perceptron, one ``{"weight", "bias"}`` per layer.

    Args:
        key: the random key.
        sizes: widths, input to output. Weights and biases are uniform within ±1/√fan-in: small
            enough that first inner steps on tasks of unit scale do not diverge.
    """
    layers = []
    for i, (n, m) in enumerate(itertools.pairwise(sizes)):
        weight_key, bias_key = jax.random.split(jax.random.fold_in(key, i))
        bound = n**-0.5
        weight = jax.random.uniform(weight_key, (n, m), minval=-bound, maxval=bound)
        bias = jax.random.uniform(bias_key, (m,), minval=-bound, maxval=bound)
        layers.append({"weight": weight, "bias": bias})
    return layers


def features(layers: Layers, x: Float[Array, "n d"]) -> Float[Array, "n h"]:
    """Return the last hidden layer's activations (ReLU)."""
    for layer in layers[:-1]:
        x = jax.nn.relu(x @ layer["weight"] + layer["bias"])
    return x


def predict(layers: Layers, x: Float[Array, "n d"]) -> Float[Array, "n o"]:
    """Return the perceptron's output."""
    return features(layers, x) @ layers[-1]["weight"] + layers[-1]["bias"]


def residuals(layers: Layers, data: tuple[Array, Array]) -> Float[Array, "n o"]:
    """Return prediction minus label."""
    x, y = data
    return predict(layers, x) - y


# `adapts=` asks these about a tree of leaf numbers, so they say nothing about leaves.
def head(layers: list) -> PyTree:
    """Return the last layer: the leaves that enter linearly."""
    return layers[-1]


def body(layers: list) -> list:
    """Return all layers but the last."""
    return layers[:-1]


squared_error = SumOfSquares(residuals)
"""Mean squared error of the perceptron."""


def sinusoids(key: PRNGKeyArray, tasks: int, shots: int, query: int) -> Task:
    """Return a stack of Finn et al.'s sinusoid tasks (arXiv 1703.03400).

    y = A sin(x + p) with A in [0.1, 5], p in [0, π] and x in [-5, 5], all uniform.

    Args:
        key: the random key.
        tasks: how many tasks.
        shots: K, the number of support points.
        query: the number of query points.
    """
    amplitude_key, phase_key, x_key = jax.random.split(key, 3)
    amplitude = jax.random.uniform(amplitude_key, (tasks, 1, 1), minval=0.1, maxval=5.0)
    phase = jax.random.uniform(phase_key, (tasks, 1, 1), minval=0.0, maxval=jnp.pi)
    x = jax.random.uniform(x_key, (tasks, shots + query, 1), minval=-5.0, maxval=5.0)
    y = amplitude * jnp.sin(x + phase)
    return Task((x[:, :shots], y[:, :shots]), (x[:, shots:], y[:, shots:]))


def quadratics(curvatures: Float[Array, " tasks"], optima: Float[Array, " tasks"]) -> Task:
    """Return tasks ½ a (θ − θ*)², the same support and query, for `quadratic_loss`."""
    data = (curvatures[:, None], optima[:, None])
    return Task(data, data)


def quadratic_loss(theta: PyTree, data: tuple[Array, Array]) -> Array:
    """Return ½ a (θ − θ*)²."""
    curvature, optimum = data
    return 0.5 * jnp.sum(curvature * (theta - optimum) ** 2)


def quadratic_optimum(
    curvatures: Float[Array, " tasks"], optima: Float[Array, " tasks"], rate: float
) -> Array:
    """Return where MAML with one inner step ends on quadratics: Σ a(1−αa)²θ* / Σ a(1−αa)²."""
    weights = curvatures * (1 - rate * curvatures) ** 2
    return jnp.sum(weights * optima) / jnp.sum(weights)

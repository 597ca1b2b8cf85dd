"""Random parameters of an SO3krates network, as its authors draw them."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from kshot.potentials.so3krates.sizes import Sizes

# of the repulsion of nuclei, where it starts
RATES, WEIGHTS = (3.2, 0.9423, 0.4028, 0.2016), (0.1818, 0.5099, 0.2802, 0.02817)
POWER, INVERSE_LENGTH = 0.23, 1 / (0.8854 * 0.5291772105638411)


class _Keys:
    """Fresh keys, one after another."""

    def __init__(self, key: PRNGKeyArray) -> None:
        self.key, self.count = key, 0

    def normal(self, *shape: int, width: int) -> Float[Array, ...]:
        self.count += 1
        drawn = jax.random.normal(jax.random.fold_in(self.key, self.count), shape)
        return drawn / math.sqrt(width)

    def dense(self, into: int, out: int) -> PyTree:
        return {"kernel": self.normal(into, out, width=into), "bias": jnp.zeros(out)}

    def two_layers(self, into: int, inner: int, out: int) -> PyTree:
        return {"Linear_0": self.dense(into, inner), "Linear_1": self.dense(inner, out)}


def random_parameters(key: PRNGKeyArray, elements: int, sizes: Sizes) -> PyTree:
    """Return parameters; weights have the variance that keeps that of features."""
    keys, width = _Keys(key), sizes.features
    params: dict[str, PyTree] = {
        "embedding": keys.normal(elements, width, width=width),
        "charge_embedding": _embedding(keys, elements, width),
        "spin_embedding": _embedding(keys, elements, width),
        "readout": keys.two_layers(width, width, 1) | {"scale": jnp.ones(elements)},
        "charge": keys.two_layers(width, width, 1) | {"shift": jnp.zeros(elements)},
        "ratio": keys.two_layers(width, width // 2, width // 2)
        | {"query": keys.normal(elements, width // 2, width=width), "shift": jnp.ones(elements)},
        "repulsion": {
            "rates": _before_softplus(RATES),
            "weights": _before_softplus(WEIGHTS),
            "power": _before_softplus(POWER),
            "inverse_length": _before_softplus(INVERSE_LENGTH),
        },
    }
    return params | {f"layer_{n}": _layer(keys, sizes) for n in range(sizes.layers)}


def _embedding(keys: _Keys, elements: int, width: int) -> PyTree:
    return {
        "query": keys.normal(elements, width, width=width),
        "key": keys.normal(2, width, width=width),
        "value": keys.normal(2, width, width=width),
        "first": keys.normal(width, width, width=width),
        "second": keys.normal(width, width, width=width),
    }


def _layer(keys: _Keys, sizes: Sizes) -> PyTree:
    width, both = sizes.features, sizes.features + sizes.degrees
    heads = {"scalar": sizes.heads, "tensor": sizes.degrees}
    params: dict[str, PyTree] = {
        f"{name}_{kind}": _heads(keys, width, heads[kind])
        for name in ("query", "key")
        for kind in heads
    }
    for kind in heads:
        params[f"filter_{kind}"] = {
            "radial": keys.two_layers(sizes.radial, width, width),
            "angular": keys.two_layers(sizes.degrees, width // 4, width),
        }
    return params | {
        "value": _heads(keys, width, sizes.heads),
        "norm_1": {"scale": jnp.ones(width), "bias": jnp.zeros(width)},
        "norm_2": {"scale": jnp.ones(width), "bias": jnp.zeros(width)},
        "residual": keys.two_layers(width, width, width),
        "exchange": keys.dense(both, both),
    }


def _heads(keys: _Keys, width: int, heads: int) -> Float[Array, "heads into out"]:
    return keys.normal(heads, width // heads, width // heads, width=width // heads)


def _before_softplus(value: float | tuple[float, ...]) -> Array:
    return jnp.log(jnp.expm1(jnp.asarray(value)))

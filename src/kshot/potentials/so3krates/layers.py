"""The parts of the network: embeddings, attention, and what follows it in a layer."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree, Scalar

from kshot.potentials.so3krates.harmonics import invariants, spread
from kshot.potentials.so3krates.pairs import Pairs
from kshot.potentials.so3krates.sizes import Sizes

SMALL = 1e-6


def dense(params: PyTree, x: Float[Array, "rows into"]) -> Float[Array, "rows out"]:
    """Return a linear layer's output."""
    y = x @ params["kernel"]
    return y + params["bias"] if "bias" in params else y


def two_layers(params: PyTree, x: Float[Array, "rows into"]) -> Float[Array, "rows out"]:
    """Return the output of two linear layers with SiLU between."""
    return dense(params["Linear_1"], jax.nn.silu(dense(params["Linear_0"], x)))


def normalised(params: PyTree, x: Float[Array, "rows width"]) -> Float[Array, "rows width"]:
    """Return each row with mean zero and variance one, then scaled and shifted."""
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(centred**2, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(variance + SMALL) * params["scale"] + params["bias"]


def embedded(
    params: PyTree,
    kinds: Float[Array, "atoms elements"],
    amount: Scalar,
    together: Bool[Array, "atoms atoms"],
) -> Float[Array, "atoms features"]:
    """Return features that say how much charge, or how many unpaired electrons, a molecule has.

    The amount is shared among the atoms by weights that depend on their elements.

    Args:
        params: of the embedding.
        kinds: each atom's element, as a row of zeros with a one.
        amount: of the whole molecule; its sign chooses the key and the value.
        together: which atoms are of the same molecule.
    """
    side = jnp.where(amount < 0, 1, 0)
    key, value = params["key"][side], params["value"][side]
    scores = (kinds @ params["query"]) @ key / key.size**0.5
    share = jnp.where(jnp.diagonal(together), jax.nn.softplus(scores), 0)
    whole = together.astype(share.dtype) @ share + SMALL
    sent = (amount * share / whole)[:, None] * value
    inner = jax.nn.silu(jax.nn.silu(sent) @ params["first"]) @ params["second"]
    return sent + inner


def layer(
    params: PyTree,
    sizes: Sizes,
    pairs: Pairs,
    scalars: Float[Array, "atoms features"],
    tensors: Float[Array, "atoms components"],
) -> tuple[Float[Array, "atoms features"], Float[Array, "atoms components"]]:
    """Return the features after one layer.

    Args:
        params: of the layer.
        sizes: of the network.
        pairs: of neighbours.
        scalars: invariant features.
        tensors: equivariant features, like harmonics.
    """
    into_scalars, into_tensors = _attention(params, sizes, pairs, scalars, tensors)
    scalars, tensors = scalars + into_scalars, tensors + into_tensors
    scalars = normalised(params["norm_1"], scalars)
    scalars = scalars + two_layers(params["residual"], jax.nn.silu(scalars))
    both = jnp.concatenate([scalars, invariants(tensors, sizes.degrees)], axis=-1)
    mixed = dense(params["exchange"], both)
    gates = mixed[:, sizes.features :] @ _spread(sizes, mixed)
    scalars = normalised(params["norm_2"], scalars + mixed[:, : sizes.features])
    return scalars, tensors + gates * tensors


def _attention(
    params: PyTree,
    sizes: Sizes,
    pairs: Pairs,
    scalars: Float[Array, "atoms features"],
    tensors: Float[Array, "atoms components"],
) -> tuple[Float[Array, "atoms features"], Float[Array, "atoms components"]]:
    """Return what neighbours send to the invariant and the equivariant features of each atom."""
    atoms, width = scalars.shape
    first, second = pairs.first, pairs.second
    difference = invariants(tensors[first] - tensors[second], sizes.degrees)
    value = _by_head(params["value"], scalars)
    by_scalar, by_tensor = (
        _scores(params, kind, pairs, scalars, difference) for kind in ("scalar", "tensor")
    )
    weight = pairs.weight[:, None] / sizes.neighbours
    heads = _of_heads(sizes.heads, width, scalars).T
    into_scalars = pairs.sums(
        (by_scalar[0] * weight) @ heads * value[second],
        (by_scalar[1] * weight) @ heads * value[first],
        atoms,
    )
    degrees = _spread(sizes, scalars)
    into_tensors = pairs.sums(
        (by_tensor[0] * weight) @ degrees * pairs.harmonics[0],
        (by_tensor[1] * weight) @ degrees * pairs.harmonics[1],
        atoms,
    )
    return into_scalars, into_tensors


def _scores(
    params: PyTree,
    kind: str,
    pairs: Pairs,
    scalars: Float[Array, "atoms features"],
    difference: Float[Array, "pairs degrees"],
) -> tuple[Float[Array, "pairs heads"], Float[Array, "pairs heads"]]:
    """Return how much the first atom of each pair attends to the second, and the reverse."""
    query, key = (_by_head(params[f"{name}_{kind}"], scalars) for name in ("query", "key"))
    nets = params[f"filter_{kind}"]
    filters = two_layers(nets["radial"], pairs.radial) + two_layers(nets["angular"], difference)
    heads = _of_heads(params[f"query_{kind}"].shape[0], scalars.shape[1], scalars)
    first, second = pairs.first, pairs.second
    ahead = (query[first] * key[second] * filters) @ heads
    return ahead, (query[second] * key[first] * filters) @ heads


def _spread(sizes: Sizes, like: Array) -> Float[Array, "degrees components"]:
    return jnp.asarray(spread(sizes.degrees), like.dtype)


def _of_heads(heads: int, width: int, like: Array) -> Float[Array, "features heads"]:
    """Return the matrix that sums each head's share of the features."""
    return jnp.repeat(jnp.eye(heads, dtype=like.dtype), width // heads, axis=0)


def _by_head(
    kernel: Float[Array, "heads into out"], x: Float[Array, "atoms features"]
) -> Float[Array, "atoms features"]:
    """Return a linear layer of its own for each head's share of the features."""
    split = x.reshape(x.shape[0], kernel.shape[0], -1)
    return jnp.einsum("nhd,hde->nhe", split, kernel).reshape(x.shape)

"""The blocks of Allegro: a scaled network, the weighted environment, and one layer.

An edge's tensors are laid out as (edge, component, channel): channels last, so that every product
runs along contiguous memory.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from mlip.utils.jax_utils import segment_sum

from kshot.potentials.allegro.config import Nonlinearity
from kshot.potentials.allegro.paths import Irreps, Product, irrep_of_component

Scalars = Float[Array, "edge feature"]
Tensors = Float[Array, "edge component channel"]
IrrepWeights = Float[Array, "edge irrep channel"]

ACTIVATIONS: dict[Nonlinearity, Callable[[Array], Array]] = {
    "silu": jax.nn.silu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=False),
    "mish": jax.nn.mish,
    "tanh": jnp.tanh,
    "none": lambda x: x,
}


class Edges(NamedTuple):
    """All the layers know of the graph: the centre of an edge, and never a neighbour's edges."""

    harmonics: Float[Array, "edge component"]
    centres: Int[Array, " edge"]
    num_atoms: int
    scale: float  # one over the root of the average number of neighbours
    deterministic: bool

    def gathered(self, values: Float[Array, "edge ..."]) -> Float[Array, "atom ..."]:
        """Sum over the edges of each centre, scaled to keep the variance."""
        total = segment_sum(values, self.centres, self.num_atoms, self.deterministic)
        return jnp.asarray(total) * self.scale


def unit_variance(key: Array, shape: tuple[int, ...]) -> Float[Array, ...]:
    """Draw uniform weights of mean 0 and variance 1; the scale lies in the forward pass."""
    return jax.random.uniform(key, shape, jnp.float32, -sqrt(3), sqrt(3))


class ScalarMLP(nn.Module):
    """Linear layers without bias, so that nothing in is nothing out.

    Weights have unit variance; each layer scales its product, by √2 more after a nonlinearity,
    which about halves the variance.
    """

    widths: tuple[int, ...]
    activation: Nonlinearity = "none"

    @nn.compact
    def __call__(self, x: Float[Array, "edge before"]) -> Float[Array, "edge after"]:
        """Apply every layer, with the nonlinearity between."""
        gain = 1.0 if self.activation == "none" else sqrt(2)
        for n, width in enumerate(self.widths):
            kernel = self.param(f"kernel_{n}", unit_variance, (x.shape[-1], width))
            if n:
                x = ACTIVATIONS[self.activation](x)
            x = x @ (kernel.astype(x.dtype) * ((gain if n else 1.0) / sqrt(x.shape[-1])))
        return x


def weighted(edges: Edges, weights: IrrepWeights, irreps: Irreps) -> Tensors:
    """Make channels from the spherical harmonics: one weight per irrep and channel."""
    per_component = weights[:, jnp.array(irrep_of_component(irreps))]
    return edges.harmonics[:, :, None] * per_component


class EnvironmentProduct(nn.Module):
    """The product of an edge with its centre's environment; a weight per path and channel."""

    product: Product

    @nn.compact
    def __call__(
        self,
        tensors: Float[Array, "edge i channel"],
        environment: Float[Array, "atom j channel"],
        edges: Edges,
    ) -> Float[Array, "edge k channel"]:
        """Couple within each channel.

        The environment belongs to the atom. So coefficients, weights and environment make one
        matrix per atom and channel, which all edges of the atom share.
        """
        table = jnp.asarray(self.product.coefficients(), tensors.dtype)
        weights = self.param("path_weights", unit_variance, (len(table), tensors.shape[-1]))
        coupling = jnp.einsum("pu,pijk->ijku", weights.astype(tensors.dtype), table)
        matrices = jnp.einsum("nju,ijku->niku", environment, coupling)
        return jnp.sum(tensors[:, :, None, :] * matrices[edges.centres], axis=1)


class AllegroLayer(nn.Module):
    """Weighted environment, product with it, and the latent network on all scalars so far."""

    product: Product
    hidden: tuple[int, ...]
    num_scalars: int
    activation: Nonlinearity
    last: bool

    @nn.compact
    def __call__(
        self, scalars: Scalars, tensors: Tensors, weights: IrrepWeights, edges: Edges
    ) -> tuple[Float[Array, "edge more"], Float[Array, "edge k channel"], IrrepWeights]:
        """Return every scalar so far, the new tensors and the weights of the next environment.

        Scalars of earlier layers stay beside the new ones: later layers and the readout see all.
        The last layer makes no weights; it hands on the old ones, which nobody reads.
        """
        irreps = self.product.environment
        environment = edges.gathered(weighted(edges, weights, irreps))
        tensors = EnvironmentProduct(self.product, name="product")(tensors, environment, edges)
        invariants = tensors[:, 0]  # the product's first irrep is the scalar
        width = self.num_scalars + (0 if self.last else weights[0].size)
        latent = ScalarMLP((*self.hidden, width), self.activation, name="latent")
        new = latent(jnp.concatenate([scalars, invariants], axis=-1))
        scalars = jnp.concatenate([scalars, new[:, : self.num_scalars]], axis=-1)
        if not self.last:
            weights = new[:, self.num_scalars :].reshape(weights.shape)
        return scalars, tensors, weights

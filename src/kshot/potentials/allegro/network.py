"""Allegro as an mlip network: strictly local, an energy per directed edge, summed at its centre."""

from __future__ import annotations

from math import sqrt

import e3nn_jax as e3nn
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from mlip.data.dataset_info import DatasetInfo
from mlip.graph import Graph
from mlip.models.blocks import AtomicEnergiesBlock, MaskPaddedNodeOutputsBlock
from mlip.models.mlip_network import MLIPNetwork

from kshot.potentials.allegro.config import AllegroConfig
from kshot.potentials.allegro.layers import (
    AllegroLayer,
    Edges,
    IrrepWeights,
    ScalarMLP,
    Scalars,
    Tensors,
    weighted,
)
from kshot.potentials.allegro.paths import harmonics, products
from kshot.potentials.allegro.radial import (
    BesselEmbedding,
    Distances,
    Species,
    SplineEmbedding,
)

LAST_ELEMENT = 118
Vectors = Float[Array, "edge 3"]


class Allegro(MLIPNetwork):
    """Strictly local equivariant potential after Musaelian et al., Nat. Commun. 14, 579 (2023).

    Every directed edge within the cutoff carries scalars and tensors. A layer multiplies the
    tensors by the weighted environment of the edge's centre and mixes the invariants into the
    scalars. No edge ever hears of a neighbour's edges, so that the energy of an atom depends on
    atoms within one cutoff of it, whatever the number of layers. Architecture and scaling are
    those of the package `nequip-allegro` 0.8.

    Attributes:
        config: Hyper-parameters.
        dataset_info: Cutoff in Å, elements, E0s in eV and the average number of neighbours.
    """

    Config = AllegroConfig

    # Every mlip network narrows its configuration's type.
    config: AllegroConfig  # pyright: ignore[reportIncompatibleVariableOverride]
    dataset_info: DatasetInfo

    @nn.compact
    def __call__(self, graph: Graph) -> Graph:
        """Set the node feature `energy`, in the units of the E0s of the dataset info (eV).

        Of several graphs the last must be padding, as mlip pads; its atoms get zero.
        """
        # mlip mixes dtypes; our own code does not, and runs under strict promotion too.
        with jax.numpy_dtype_promotion("standard"):
            mask, vectors = graph.edge_mask(), jnp.asarray(graph.edge_vectors())
        vectors, x = within(self.dataset_info.graph_cutoff_angstrom, vectors, mask)
        centre, neighbour = species_of_edges(graph, self.dataset_info)
        edges = self._edges(graph, vectors)
        state = self._two_body(x, centre, neighbour, edges)
        # A pair's two edges both pull at an atom: the root of two keeps forces at unit scale.
        graph = graph.update_node_features(
            energy=edges.gathered(self._read(state, edges)) / sqrt(2)
        )
        with jax.numpy_dtype_promotion("standard"):
            graph = AtomicEnergiesBlock(
                dataset_info=self.dataset_info,
                skip_atomic_energies_addition=not self.config.add_atomic_energies,
            )(graph)
            return MaskPaddedNodeOutputsBlock(feature_names=("energy",))(graph)

    def _edges(self, graph: Graph, vectors: Vectors) -> Edges:
        """The centre is the sender: mlip sorts edges by it, and vectors point away from it."""
        irreps = e3nn.Irreps.spherical_harmonics(self.config.l_max)
        basis = e3nn.spherical_harmonics(irreps, vectors, normalize=True, normalization="component")
        average = self.config.avg_num_neighbors or self.dataset_info.avg_num_neighbors
        return Edges(
            harmonics=basis.array,
            centres=jnp.asarray(graph.senders),
            num_atoms=jnp.asarray(graph.nodes.positions).shape[0],
            scale=1 / sqrt(average),
            deterministic=self.config.deterministic_scatter_ops,
        )

    def _two_body(
        self, x: Distances, centre: Species, neighbour: Species, edges: Edges
    ) -> tuple[Scalars, Tensors, IrrepWeights]:
        """What an edge knows by itself: its scalars, tensors and share in the first environment."""
        c = self.config
        number, width = len(self.dataset_info.allowed_atomic_numbers), c.num_scalar_features
        if c.radial_basis == "spline":
            embed = SplineEmbedding(number, width, c.num_rbf, c.spline_span, name="radial")
        else:
            embed = BesselEmbedding(number, width, c.num_rbf, c.envelope_power, name="radial")
        embedded = embed(x, centre, neighbour)
        scalars = ScalarMLP((*c.embed_mlp_hidden, width), c.activation, name="two_body")(embedded)

        irreps = harmonics(c.l_max)
        numel = len(irreps) * c.num_tensor_features
        shape = (-1, len(irreps), c.num_tensor_features)
        of_tensors = ScalarMLP((numel,), name="first_tensors")(scalars).reshape(shape)
        projected = ScalarMLP((width + numel,), name="first_environment")(scalars)
        of_environment = projected[:, width:].reshape(shape)
        return projected[:, :width], weighted(edges, of_tensors, irreps), of_environment

    def _read(
        self, state: tuple[Scalars, Tensors, IrrepWeights], edges: Edges
    ) -> Float[Array, " edge"]:
        """Run the layers, and read each edge's energy from the scalars of all of them."""
        c = self.config
        chain = products(c.l_max, c.num_layers, pseudotensors=c.include_pseudotensors)
        for n, product in enumerate(chain):
            layer = AllegroLayer(
                product=product,
                hidden=c.latent_mlp_hidden,
                num_scalars=c.num_scalar_features,
                activation=c.activation,
                last=n == len(chain) - 1,
                name=f"layer_{n}",
            )
            state = layer(*state, edges)
        return ScalarMLP((*c.readout_mlp_hidden, 1), c.activation, name="readout")(state[0])[:, 0]


def within(
    cutoff: float, vectors: Vectors, mask: Bool[Array, " edge"]
) -> tuple[Vectors, Distances]:
    """Return edge vectors in Å and lengths in cutoffs; edges that do not count lie at the cutoff.

    There everything is exactly zero. Padding edges, edges of length zero and edges beyond the
    cutoff (of a neighbour list with a skin, say) thus give neither energy nor gradient, and no
    derivative sees the root of zero.
    """
    squared = jnp.sum(vectors**2, axis=-1)
    counts = mask & (squared > 0) & (squared < cutoff**2)
    at_cutoff = jnp.zeros((3,), vectors.dtype).at[2].set(cutoff)
    vectors = jnp.where(counts[:, None], vectors, at_cutoff)
    lengths = jnp.sqrt(jnp.sum(vectors**2, axis=-1)) / cutoff
    return vectors, jnp.where(counts, lengths, 1)


def species_of_edges(graph: Graph, info: DatasetInfo) -> tuple[Species, Species]:
    """Number the elements of centre and neighbour by their order in the periodic table."""
    elements = sorted(info.allowed_atomic_numbers)
    position = np.zeros(LAST_ELEMENT + 1, np.int32)
    position[elements] = range(len(elements))
    species = jnp.asarray(position)[jnp.asarray(graph.nodes.atomic_numbers)]
    return species[graph.senders], species[graph.receivers]

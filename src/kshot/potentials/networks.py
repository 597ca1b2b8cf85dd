"""Networks written for mlip's interface: MACE, NequIP, ViSNet, eSEN, and kshot's own Allegro.

A network keeps its own pydantic configuration; nothing is mirrored here.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from kshot.atoms.graph import Graph
from kshot.core.errors import OptionError
from kshot.core.registry import missing_extra
from kshot.potentials.base import Potential

if TYPE_CHECKING:
    from mlip.models.mlip_network import MLIPNetwork


class Architecture(NamedTuple):
    """Where a network and its configuration are, and its named sizes.

    Args:
        network: ``module:class``; its ``Config`` is the configuration.
        sizes: name → what differs from the configuration's defaults.
    """

    network: str
    sizes: dict[str, dict[str, Any]]


class Network(Potential):
    """One of mlip's networks as a potential.

    Args:
        architecture: ``module:class`` of the network.
        config: its configuration, as JSON.
        elements: atomic numbers it knows, ascending.
        cutoff: in Å.
        neighbours: the mean number of neighbours, by which sums over them are scaled.
    """

    architecture: str = eqx.field(static=True)
    config: str = eqx.field(static=True)
    elements: tuple[int, ...] = eqx.field(static=True)
    cutoff: float = eqx.field(static=True)
    neighbours: float = eqx.field(static=True)

    @property
    def network(self) -> MLIPNetwork:
        """The flax module; made once."""
        return _network(self)

    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return random parameters."""
        return _init(self, key)

    def energies(self, params: PyTree, graph: Graph) -> Float[Array, " atoms"]:
        """Return each atom's share of the energy in eV."""
        return _energies(self, params, jax.tree.map(jnp.asarray, graph))


def network(
    architecture: Architecture,
    elements: tuple[int, ...],
    *,
    size: str = "small",
    cutoff: float = 5.0,
    neighbours: float = 12.0,
    config: dict[str, Any] | None = None,
) -> Network:
    """Return a network as a potential.

    Args:
        architecture: which one.
        elements: atomic numbers it is to know.
        size: a named size.
        cutoff: in Å.
        neighbours: the mean number of neighbours within it.
        config: fields of the network's own configuration that differ from the size's.
    """
    if size not in architecture.sizes:
        todo = "Choose one, and give what differs as config=."
        raise OptionError(f"size: {', '.join(architecture.sizes)}", repr(size), todo)
    # kshot subtracts E0s on the host, so no network adds atomic energies of its own.
    fields = architecture.sizes[size] | {"add_atomic_energies": False} | (config or {})
    settled = _class(architecture.network).Config(**fields).model_dump_json()
    return Network(
        architecture=architecture.network,
        config=settled,
        elements=tuple(sorted(set(elements))),
        cutoff=cutoff,
        neighbours=neighbours,
    )


def _class(name: str) -> Any:  # noqa: ANN401 - mlip is imported only where it is used
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        raise missing_extra(f"network {attribute}", error.name, "models") from error


@functools.lru_cache(maxsize=32)
def _network(potential: Network) -> MLIPNetwork:
    from mlip.data.dataset_info import DatasetInfo

    kind = _class(potential.architecture)
    info = DatasetInfo(
        atomic_energies_map=dict.fromkeys(potential.elements, 0.0),
        graph_cutoff_angstrom=potential.cutoff,
        avg_num_neighbors=potential.neighbours,
    )
    return kind(kind.Config.model_validate_json(potential.config), info)


# mlip's Python takes seconds to trace. Inside a jit of its own it is traced once for each size, no
# matter in how many programs and under which derivatives it stands.
@functools.partial(jax.jit, static_argnums=0)
def _energies(potential: Network, params: PyTree, graph: Graph) -> Float[Array, " atoms"]:
    with _their_ways():
        found: Any = potential.network.apply(params, _as_mlip(graph))
    shares = found.nodes.features["energy"].reshape(graph.numbers.shape)
    return jnp.where(graph.real, shares, 0)


@functools.partial(jax.jit, static_argnums=0)  # one compilation; eagerly it would be hundreds
def _init(potential: Network, key: PRNGKeyArray) -> PyTree:
    pair = jnp.arange(2, dtype=jnp.int32)
    lone = Graph(
        numbers=jnp.full(2, potential.elements[0], jnp.int32),
        positions=jnp.zeros((2, 3)).at[1, 0].set(potential.cutoff / 2),
        senders=pair[::-1],
        receivers=pair,
        shifts=jnp.zeros((2, 3)),
        edges=jnp.asarray(2, jnp.int32),
        charge=jnp.asarray(0, jnp.int32),
        multiplicity=jnp.asarray(1, jnp.int32),
        cell=jnp.zeros((3, 3)),
        owner=jnp.zeros(2, jnp.int32),
    )
    with _their_ways():
        return potential.network.init(key, _as_mlip(lone))


@contextlib.contextmanager
def _their_ways() -> Iterator[None]:
    """Let mlip mix dtypes, and write int64 into its int32 tables where x64 is on."""
    with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"):
        warnings.filterwarnings("ignore", "scatter inputs have incompatible", FutureWarning)
        yield


def _as_mlip(graph: Graph) -> Any:  # noqa: ANN401
    """Return the graph as mlip's, padding and all; edges sorted by mlip's sender.

    Padding needs no masks of theirs: padding atoms meet nobody, and are left out of the sum.
    """
    from mlip.graph import EdgeOrdering, GraphEdges, GraphGlobals, GraphNodes
    from mlip.graph import Graph as Theirs

    # their vector is positions[receivers] + shifts @ cell - positions[senders]: a sender of theirs
    # is a receiver of ours, and with a cell of one Å our shifts are theirs.
    dtype = graph.positions.dtype
    count = lambda array: jnp.full(1, array.shape[-1], jnp.int32)  # noqa: E731
    return Theirs(
        nodes=GraphNodes(positions=graph.positions, atomic_numbers=graph.numbers),
        edges=GraphEdges(shifts=graph.shifts),
        globals=GraphGlobals(
            cell=jnp.eye(3, dtype=dtype)[None],
            weight=jnp.ones(1, dtype),
            charge=jnp.asarray(graph.charge)[None],
            spin_multiplicity=jnp.asarray(graph.multiplicity)[None],
        ),
        n_node=count(graph.numbers),
        n_edge=count(graph.senders),
        senders=graph.receivers,
        receivers=graph.senders,
        ordering=EdgeOrdering.SENDER,
    )

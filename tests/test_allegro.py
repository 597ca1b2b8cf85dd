"""Allegro: symmetries, locality, smoothness, third derivatives, and the original's numbers."""

import json
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matscipy.neighbours import neighbour_list
from mlip.data.dataset_info import DatasetInfo
from mlip.graph import Graph
from mlip.graph.batching_helpers import batch_graphs, pad_with_graphs
from mlip.graph.graph import GraphEdges, GraphGlobals, GraphNodes
from mlip.models.predictors import ConservativePredictor
from mlip.typing.properties import Properties
from pydantic import ValidationError
from scipy.spatial.transform import Rotation

from kshot.potentials.allegro import Allegro, AllegroConfig
from kshot.potentials.allegro.paths import harmonics, products
from kshot.potentials.architectures import ALLEGRO

CUTOFF = 3.0
ATOMS, EDGES = 8, 48  # one padded size for most tests: few programs to compile
WIDTHS = {
    "num_scalar_features": 4,
    "num_tensor_features": 2,
    "num_rbf": 4,
    "embed_mlp_hidden": (4,),
    "latent_mlp_hidden": (4,),
    "readout_mlp_hidden": (4,),
    "avg_num_neighbors": 3.0,
}
BESSEL = AllegroConfig(**WIDTHS)
# Three layers are where features of the other parity begin to matter.
SPLINE = AllegroConfig(**WIDTHS, radial_basis="spline", spline_span=3, num_layers=3, l_max=1)
CONFIGS = pytest.mark.parametrize("config", [BESSEL, SPLINE], ids=["bessel", "spline"])
REFERENCE = Path(__file__).parent / "data" / "allegro_reference.json"

pytestmark = pytest.mark.usefixtures("x64", "quick_compile")


class Found(NamedTuple):
    energies: np.ndarray
    forces: np.ndarray


def info(cutoff: float = CUTOFF, **changes) -> DatasetInfo:
    e0s = dict.fromkeys((1, 6, 7, 8), 0.0)
    return DatasetInfo(atomic_energies_map=e0s, graph_cutoff_angstrom=cutoff, **changes)


def all_pairs(positions, numbers, dtype=np.float64) -> Graph:
    """Join all atoms, those beyond the cutoff too: the network itself must cut."""
    n = len(numbers)
    centre, neighbour = np.nonzero(~np.eye(n, dtype=bool))
    return Graph(
        nodes=GraphNodes(
            positions=np.asarray(positions, dtype), atomic_numbers=np.asarray(numbers)
        ),
        edges=GraphEdges(),
        globals=GraphGlobals(cell=np.zeros((1, 3, 3), dtype), weight=np.ones(1, dtype)),
        n_node=np.array([n]),
        n_edge=np.array([len(centre)]),
        senders=centre,
        receivers=neighbour,
    )


def crystal(positions, numbers, cell, found) -> Graph:
    centre, neighbour, shifts = found
    graph = all_pairs(positions, numbers)
    return graph.replace(
        edges=GraphEdges(shifts=shifts.astype(float)),
        globals=graph.globals.replace(cell=cell[None]),
        senders=centre,
        receivers=neighbour,
        n_edge=np.array([len(centre)]),
    )


def padded(graph: Graph, atoms: int = ATOMS, edges: int = EDGES, graphs: int = 3) -> Graph:
    return jax.tree.map(jnp.asarray, pad_with_graphs(graph, atoms, edges, graphs))


@partial(jax.jit, static_argnames="config")
def energies_and_forces(config, params, graph):
    def energy(positions):
        out = Allegro(config, info()).apply(params, graph.replace_nodes(positions=positions))
        return out.nodes.features["energy"].sum(), out.nodes.features["energy"]

    gradient, energies = jax.grad(energy, has_aux=True)(graph.nodes.positions)
    return energies, -gradient


@partial(jax.jit, static_argnames="config")
def parameters(config, seed=0):
    """Draw weights as the network does, in float64."""
    dummy = jax.tree.map(jnp.asarray, pad_with_graphs(all_pairs(np.eye(3)[:2], [1, 6]), 3, 3, 2))
    params = Allegro(config, info()).init(jax.random.key(seed), dummy)
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)


def evaluate(config, positions, numbers) -> Found:
    energies, forces = energies_and_forces(
        config, parameters(config), padded(all_pairs(positions, numbers))
    )
    n = len(numbers)
    assert not energies[n:].any()
    assert not forces[n:].any()
    return Found(np.asarray(energies[:n]), np.asarray(forces[:n]))


@pytest.fixture
def molecule(rng):
    """Six atoms, chiral, some pairs within the cutoff and some beyond."""
    corners = np.array(
        [[0, 0, 0], [1.2, 0, 0], [0, 1.4, 0], [0, 0, 1.6], [2.2, 1, 0.3], [-1, 2.6, 1]]
    )
    return corners + rng.normal(0, 0.1, (6, 3)), np.array([6, 7, 1, 8, 1, 6])


# Symmetries


@CONFIGS
def test_rotated_shifted_and_permuted(config, molecule, rng):
    positions, numbers = molecule
    before = evaluate(config, positions, numbers)
    assert np.abs(before.forces).max() > 1e-2
    turn, order = Rotation.random(random_state=1).as_matrix(), rng.permutation(len(numbers))
    after = evaluate(config, (positions @ turn.T + [3, -7, 11])[order], numbers[order])
    np.testing.assert_allclose(after.energies, before.energies[order], rtol=1e-10)
    np.testing.assert_allclose(after.forces, (before.forces @ turn.T)[order], atol=1e-11)


@CONFIGS
def test_mirrored(config, molecule):
    positions, numbers = molecule
    before, after = (evaluate(config, sign * positions, numbers) for sign in (1, -1))
    np.testing.assert_allclose(after.energies, before.energies, rtol=1e-10)
    np.testing.assert_allclose(after.forces, -before.forces, atol=1e-11)


def test_directions_matter(molecule):
    """An angle changes the energy: the layers do more than sum over pairs."""
    bent, straight = np.zeros((2, 3, 3))
    bent[1:] = [[1, 0, 0], [0, 1, 0]]
    straight[1:] = [[1, 0, 0], [-1, 0, 0]]
    bent, straight = (evaluate(BESSEL, p, [8, 1, 1]).energies[0] for p in (bent, straight))
    assert abs(bent - straight) > 1e-3


# Padding and batches


@CONFIGS
def test_padding_changes_nothing(config, molecule):
    positions, numbers = molecule
    tight = evaluate(config, positions, numbers)
    graph = padded(all_pairs(positions, numbers), atoms=20, edges=90, graphs=5)
    energies, forces = energies_and_forces(config, parameters(config), graph)
    np.testing.assert_allclose(energies[: len(numbers)], tight.energies, rtol=1e-12)
    np.testing.assert_allclose(forces[: len(numbers)], tight.forces, atol=1e-13)
    assert not energies[len(numbers) :].any()


def test_edges_to_padding_count_for_nothing(molecule):
    positions, numbers = molecule
    graph = padded(all_pairs(positions, numbers))
    plain = energies_and_forces(BESSEL, parameters(BESSEL), graph)
    joined = graph.replace(senders=graph.senders.at[-1].set(0))  # the first atom to a padding one
    joined = joined.replace_nodes(positions=graph.nodes.positions.at[len(numbers) :].add(0.9))
    for before, after in zip(
        plain, energies_and_forces(BESSEL, parameters(BESSEL), joined), strict=True
    ):
        np.testing.assert_array_equal(after, before)


def test_batch_is_each_alone(molecule):
    positions, numbers = molecule
    one, other = (all_pairs(positions[part], numbers[part]) for part in (slice(4), slice(3, 6)))
    both = padded(batch_graphs([one, other]))
    energies, forces = energies_and_forces(BESSEL, parameters(BESSEL), both)
    first, second = (evaluate(BESSEL, positions[p], numbers[p]) for p in (slice(4), slice(3, 6)))
    np.testing.assert_allclose(energies[:7], [*first.energies, *second.energies], rtol=1e-12)
    np.testing.assert_allclose(forces[:7], [*first.forces, *second.forces], atol=1e-13)


# Locality and smoothness


@CONFIGS
def test_receptive_field_is_exactly_the_cutoff(config):
    """A chain: the end is a neighbour of the middle's neighbour, and beyond the middle's cutoff."""
    chain = np.array([[0.0, 0, 0], [1.5, 0.1, 0], [2.6, 0.5, 0.4], [CUTOFF + 1e-9, 0, 0]])
    numbers = [6, 7, 8, 1]
    here = evaluate(config, chain, numbers)
    assert np.linalg.norm(chain[3] - chain[2]) < CUTOFF / 2
    chain[3] += [0.6, -0.3, 0.2]
    there = evaluate(config, chain, numbers)
    assert there.energies[0] == here.energies[0]
    assert abs(there.energies[2] - here.energies[2]) > 1e-4
    chain[2] += [0.0, 0.1, 0.0]
    assert abs(evaluate(config, chain, numbers).energies[0] - here.energies[0]) > 1e-6


@CONFIGS
def test_no_derivative_reaches_beyond_the_cutoff(config):
    chain = np.array([[0.0, 0, 0], [1.5, 0.1, 0], [2.6, 0.5, 0.4], [CUTOFF, 0, 0]])
    params, graph = parameters(config), padded(all_pairs(chain, [6, 7, 8, 1]))

    @jax.jit
    @jax.grad
    def gradient_of_first(positions):
        out = Allegro(config, info()).apply(params, graph.replace_nodes(positions=positions))
        return out.nodes.features["energy"][0]

    gradient = gradient_of_first(graph.nodes.positions)
    assert not gradient[3].any()
    assert gradient[2].any()


@CONFIGS
def test_energy_and_forces_are_smooth_at_the_cutoff(config):
    numbers, base = [6, 8, 1], np.array([[0.0, 0, 0], [1.1, 0.4, 0], [0, 0, 0]])

    def at(distance):
        base[2] = [0, 0, distance]
        return evaluate(config, base, numbers)

    without = evaluate(config, base[:2], numbers[:2])
    for eps, tolerance in ((1e-3, 1e-6), (1e-4, 1e-9)):
        inside, outside = at(CUTOFF - eps), at(CUTOFF + eps)
        assert outside.energies[0] == pytest.approx(without.energies[0], rel=1e-14)
        # The energy falls as ε³, the force as ε².
        np.testing.assert_allclose(inside.energies, outside.energies, atol=tolerance)
        np.testing.assert_allclose(inside.forces, outside.forces, atol=tolerance**0.5)
    assert np.abs(at(CUTOFF - 0.8).forces - without.forces.sum(0)).max() > 1e-3


@CONFIGS
def test_isolated_atom(config):
    alone = evaluate(config, [[0.3, 0.2, 0.1]], [6])
    assert not alone.energies.any()
    assert not alone.forces.any()
    apart = evaluate(config, [[0.0, 0, 0], [0, 0, CUTOFF + 1e-6]], [6, 1])
    assert not apart.energies.any()
    assert not apart.forces.any()


def test_atoms_in_one_place_give_numbers():
    assert np.isfinite(evaluate(BESSEL, np.zeros((2, 3)), [6, 1]).forces).all()


def test_sums_in_fixed_order_are_the_same_sums(molecule):
    fixed = BESSEL.model_copy(update={"deterministic_scatter_ops": True})
    np.testing.assert_allclose(
        evaluate(fixed, *molecule).energies, evaluate(BESSEL, *molecule).energies, rtol=1e-12
    )


# Derivatives


@CONFIGS
def test_forces_are_minus_the_finite_difference(config, molecule, rng):
    positions, numbers = molecule
    direction, step = rng.normal(size=positions.shape), 1e-5
    up, down = (evaluate(config, positions + s * direction, numbers) for s in (step, -step))
    slope = (up.energies.sum() - down.energies.sum()) / (2 * step)
    forces = evaluate(config, positions, numbers).forces
    assert -np.sum(forces * direction) == pytest.approx(slope, rel=1e-7)


def test_stress_is_the_derivative_along_a_strain(rng):
    """In a crystal thinner than the cutoff, where atoms see their own images."""
    cell, strain = np.diag([2.5, 2.9, 3.1]) + rng.normal(0, 0.1, (3, 3)), rng.normal(size=(3, 3))
    strain = (strain + strain.T) / 2
    positions, numbers = rng.normal([[0, 0, 0], [1.2, 1.1, 1.3]], 0.2), [6, 8]
    found = neighbour_list("ijS", positions=positions, cell=cell, pbc=[True] * 3, cutoff=CUTOFF)
    predictor = ConservativePredictor(Allegro(BESSEL, info()), Properties(stress=True))
    params = {"params": {"mlip_network": parameters(BESSEL)["params"]}}

    @jax.jit
    def globals_at(step):
        grown = jnp.eye(3) + step * strain
        graph = padded(crystal(positions, numbers, cell, found), 3, len(found[0]) + 1, 2)
        graph = graph.replace_nodes(positions=graph.nodes.positions @ grown)
        graph = graph.replace_globals(cell=graph.globals.cell @ grown)
        return predictor.apply(params, graph).globals

    step = 1e-5
    slope = (globals_at(step).energy[0] - globals_at(-step).energy[0]) / (2 * step)
    volume = np.linalg.det(cell)
    assert abs(slope) > 1e-3
    assert np.sum(globals_at(0.0).stress[0] * strain) * volume == pytest.approx(
        float(slope), rel=1e-6
    )


@partial(jax.jit, static_argnames="config")
def curvature(config, params, direction, graph):
    """Gradient of the force loss, and its Hessian along a direction."""

    def loss(params):
        return jnp.sum(energies_and_forces(config, params, graph)[1] ** 2)

    return jax.jvp(jax.grad(loss), (params,), (direction,))


@CONFIGS
def test_third_derivatives_are_finite_and_right(config, molecule):
    positions, numbers = molecule
    params, graph = parameters(config), padded(all_pairs(positions, numbers))
    direction = parameters(config, seed=1)
    gradient, product = curvature(config, params, direction, graph)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((gradient, product)))
    assert all(leaf.any() for leaf in jax.tree.leaves(gradient))

    def gradient_at(step):
        moved = jax.tree.map(lambda p, d: p + step * d, params, direction)
        return curvature(config, moved, direction, graph)[0]

    step = 1e-5
    slope = jax.tree.map(
        lambda up, down: (up - down) / (2 * step), gradient_at(step), gradient_at(-step)
    )
    for exact, differences in zip(jax.tree.leaves(product), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(exact, differences, atol=1e-6 * np.abs(exact).max() + 1e-9)


def test_third_derivatives_of_an_isolated_atom_are_zero():
    graph = padded(all_pairs([[0.0, 0, 0]], [6]))
    found = curvature(BESSEL, parameters(BESSEL), parameters(BESSEL, seed=1), graph)
    assert not any(leaf.any() for leaf in jax.tree.leaves(found))


# The original's numbers, types, and configuration


def test_numbers_of_the_original():
    """Weights of nequip-allegro (three layers, both parities) give its energies and forces."""
    stored = json.loads(REFERENCE.read_text())
    params: dict = {}
    for path, leaf in stored["weights"].items():
        *parents, name = path.split("/")
        node = params
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = jnp.asarray(leaf)
    graph = padded(all_pairs(stored["positions"], stored["numbers"]), 10, 80)
    net = Allegro(AllegroConfig(**stored["config"]), info(stored["cutoff"]))
    predictor = ConservativePredictor(net, Properties(energy=True, forces=True))
    out = jax.jit(predictor.apply)({"params": {"mlip_network": params}}, graph)
    n = len(stored["numbers"])
    np.testing.assert_allclose(
        out.nodes.features["energy"][:n], stored["atom_energies"], rtol=1e-12, atol=1e-13
    )
    np.testing.assert_allclose(out.nodes.forces[:n], stored["forces"], rtol=1e-12, atol=1e-13)


def test_float32_stays_float32(molecule):
    positions, numbers = molecule
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), parameters(BESSEL))
    double = evaluate(BESSEL, positions, numbers)
    with jax.enable_x64(False):
        graph = padded(all_pairs(positions, numbers, np.float32))
        energies, forces = energies_and_forces(BESSEL, params, graph)
    assert energies.dtype == forces.dtype == jnp.float32
    np.testing.assert_allclose(energies[: len(numbers)], double.energies, atol=1e-5)


def test_each_atom_gets_its_scaled_energy_and_e0(molecule):
    positions, numbers = molecule
    e0s = {1: -13.0, 6: -1000.0, 7: -1500.0, 8: -2000.0}
    told = info().model_copy(update={"atomic_energies_map": e0s, "scaling_stdev": 2.0})
    graph = padded(all_pairs(positions, numbers))
    out = jax.jit(Allegro(BESSEL, told).apply)(parameters(BESSEL), graph)
    plain = evaluate(BESSEL, positions, numbers).energies
    expected = 2 * plain + [e0s[z] for z in numbers]
    np.testing.assert_allclose(out.nodes.features["energy"][: len(numbers)], expected, rtol=1e-12)


def test_layers_keep_what_reaches_the_energy():
    two = products(2, 2, pseudotensors=True)
    assert [len(product.paths) for product in two] == [11, 3]
    three = products(2, 3, pseudotensors=True)
    assert {str(ir) for ir in three[0].out} == {"0e", "1o", "1e", "2e", "2o"}
    assert three[0].out == three[1].edge
    assert len(products(2, 3, pseudotensors=False)[0].paths) == 11
    assert str(two[1].out[0]) == "0e"
    assert harmonics(0) == products(0, 1, pseudotensors=True)[0].edge


def test_paths_keep_the_variance():
    """Every path sends components of unit variance to components of unit variance."""
    product = products(2, 3, pseudotensors=True)[1]
    for (_, _, k), block in zip(product.paths, product.coefficients(), strict=True):
        assert np.sum(block**2) == pytest.approx(product.out[k].dim)


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_layer": 2},
        {"num_scalar_features": 5},
        {"radial_basis": "spline", "spline_span": 9},
        {"activation": "sigmoid"},
        {"envelope_power": 1},
    ],
)
def test_wrong_configurations_are_refused(wrong):
    with pytest.raises(ValidationError, match=next(reversed(wrong))):
        AllegroConfig(**wrong)


def test_sizes_grow():
    def number(config):
        shapes = jax.eval_shape(partial(parameters, config))
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    sizes = [number(AllegroConfig(**ALLEGRO.sizes[name])) for name in ("tiny", "small", "medium")]
    assert sizes == [4544, 25216, 136448]

"""The contract of a potential: physics, smoothness, padding, third derivatives."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from kshot.atoms import Structure
from kshot.atoms.graph import Graph, graph, pad, room, rung
from kshot.core import trees
from kshot.potentials.base import Potential
from kshot.potentials.derived import energy_and_forces
from kshot.testing.expect import expect

REMEDY = "See kshot.potentials.base.Potential."
STEP = 1e-4  # Å
# acetamide, in Å: what every potential is tried on
NUMBERS = (8, 6, 7, 6, 1, 1, 1, 1, 1)
POSITIONS = (
    (0.42, 1.33, 0.01),
    (0.07, 0.15, -0.02),
    (-1.23, -0.21, 0.05),
    (1.07, -0.99, 0.02),
    (-1.94, 0.51, -0.06),
    (-1.52, -1.17, 0.02),
    (2.03, -0.61, 0.31),
    (1.13, -1.42, -0.98),
    (0.77, -1.79, 0.71),
)


def check_potential(potential: Potential) -> None:
    """Check a potential in float64; it must know hydrogen, carbon, nitrogen and oxygen.

    Invariance under rotation, translation and permutation; padding; forces equal to
    minus finite differences; a lone atom; smoothness where an atom leaves the cutoff; finite third
    derivatives of the energy-force loss.

    Raises:
        ContractError: the first promise that is broken.
    """
    with jax.enable_x64(True):
        params = potential.init(jax.random.key(1))
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
        tried = _Tried(potential, params)
        _check_symmetry(tried)
        _check_forces(tried)
        _check_lone_atom(tried)
        _check_cutoff(tried)
        _check_third_derivatives(tried)


class _Tried:
    """A potential with parameters, compiled once for the shape all checks share."""

    def __init__(self, potential: Potential, params: PyTree) -> None:
        self.potential, self.params = potential, params
        self.molecule = Structure(np.array(NUMBERS), np.array(POSITIONS))
        whole = room([self.graph(self.molecule)])
        self.size = whole._replace(atoms=rung(whole.atoms + 1))
        self.compiled = jax.jit(lambda p, g: energy_and_forces(potential, p, g))

    def graph(self, structure: Structure) -> Graph:
        return graph(structure, self.potential.cutoff, np.float64)

    def padded(self, structure: Structure) -> Graph:
        return pad(self.graph(structure), self.size, self.potential.cutoff)

    def __call__(self, structure: Structure) -> tuple[float, Float[np.ndarray, "atoms 3"]]:
        energy, forces = self.compiled(self.params, self.padded(structure))
        expect(bool(np.isfinite(forces).all()), "finite forces", f"{forces}", REMEDY)
        return float(energy), np.asarray(forces)[: len(structure)]

    def moved(self, positions: Float[np.ndarray, "atoms 3"]) -> Structure:
        return self.molecule.replace(positions=positions)


def _check_symmetry(tried: _Tried) -> None:
    energy, forces = tried(tried.molecule)
    expect(bool(np.abs(forces).max() > 0), "forces on a strained molecule", "none", REMEDY)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turn *= np.linalg.det(turn)
    turned = tried(tried.moved(tried.molecule.positions @ turn + [1.0, -2.0, 3.0]))
    _near("energy, rotated and moved", turned[0], energy, 1e-9)
    _near("forces, rotated and moved", turned[1], forces @ turn, 1e-8)
    order = np.random.default_rng(1).permutation(len(tried.molecule))
    mixed = Structure(tried.molecule.numbers[order], tried.molecule.positions[order])
    permuted = tried(mixed)
    _near("energy, atoms in another order", permuted[0], energy, 1e-9)
    _near("forces, atoms in another order", permuted[1], forces[order], 1e-8)
    bare = tried.compiled(tried.params, tried.graph(tried.molecule))
    _near("energy without padding", float(bare[0]), energy, 1e-9)
    _near("forces without padding", np.asarray(bare[1]), forces, 1e-8)


def _check_forces(tried: _Tried) -> None:
    _, forces = tried(tried.molecule)
    way = np.random.default_rng(2).normal(size=forces.shape)
    ends = [tried(tried.moved(tried.molecule.positions + s * STEP * way))[0] for s in (1, -1)]
    slope = -(ends[0] - ends[1]) / (2 * STEP)
    _near("forces along a direction", np.sum(forces * way), slope, 1e-5 * (1 + abs(slope)))


def _check_lone_atom(tried: _Tried) -> None:
    atom = Structure(np.array([6]), np.zeros((1, 3)))
    _, forces = tried(atom)
    _near("forces on a lone atom", forces, np.zeros((1, 3)), 1e-12)


def _check_cutoff(tried: _Tried) -> None:
    """An atom that crosses the cutoff changes neither energy nor forces by a jump."""
    gap = 1e-4
    near, far = (
        tried(
            Structure(
                np.array([6, 8]), np.array([[0, 0, 0], [tried.potential.cutoff + way, 0, 0.0]])
            )
        )
        for way in (-gap, gap)
    )
    # what acts beyond the cutoff does work on the way, and no more than its forces say.
    work = gap * (near[1][1, 0] + far[1][1, 0])
    _near("energy across the cutoff", near[0], far[0] + work, 1e-7)
    _near("forces across the cutoff", near[1], far[1], 1e-5)


def _check_third_derivatives(tried: _Tried) -> None:
    """Hessian-vector products of the energy-force loss are finite, and symmetric."""

    @jax.jit
    def product(params: PyTree, way: PyTree, padded: Graph) -> PyTree:
        def loss(params: PyTree) -> Array:
            energy, forces = energy_and_forces(tried.potential, params, padded)
            return energy**2 + jnp.sum(forces**2)

        return jax.jvp(jax.grad(loss), (params,), (way,))[1]

    if not jax.tree.leaves(tried.params):
        return
    padded = tried.padded(tried.molecule)
    ways = [_random_like(tried.params, seed) for seed in (0, 1)]
    products = [product(tried.params, way, padded) for way in ways]
    finite = all(bool(trees.all_finite(one)) for one in products)
    expect(finite, "finite third derivatives", "some that are not", REMEDY)
    there, back = (float(trees.dot(ways[1 - i], products[i])) for i in (0, 1))
    _near("v·Hw against w·Hv", there, back, 1e-8 * (1 + abs(back)))


def _near(what: str, got: float | np.ndarray, want: float | np.ndarray, tolerance: float) -> None:
    """Expect two values to agree within an absolute tolerance."""
    off = float(np.abs(np.asarray(got) - np.asarray(want)).max())
    expect(off <= tolerance, f"{what} to agree within {tolerance:.0e}", f"{off:.2e}", REMEDY)


def _random_like(params: PyTree, seed: int) -> PyTree:
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), params)

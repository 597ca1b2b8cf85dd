"""Cheap potentials with the same interface: quick tests, and priors for what networks do badly.

Each is a sum over edges, times an envelope that takes it smoothly to zero at the cutoff.
"""

from __future__ import annotations

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from kshot.atoms.elements import elements as table
from kshot.atoms.graph import Graph
from kshot.potentials.base import Potential

COULOMB = 14.399645  # e²/(4πε₀) in eV Å
# the universal screening function of Ziegler, Biersack and Littmark, and its length in Å
ZBL_WEIGHTS = (0.18175, 0.50986, 0.28022, 0.02817)
ZBL_RATES = (3.19980, 0.94229, 0.40290, 0.20162)
ZBL_LENGTH = 0.8854 * 0.529177


class Pair(Potential):
    """A sum over pairs of an energy of their distance and elements."""

    elements: tuple[int, ...] = eqx.field(static=True)
    cutoff: float = eqx.field(static=True)

    @abc.abstractmethod
    def pair(
        self, params: PyTree, distance: Float[Array, " edges"], kinds: Int[Array, "2 edges"]
    ) -> Float[Array, " edges"]:
        """Return each edge's pair energy in eV, before the envelope.

        Args:
            params: parameters.
            distance: in Å.
            kinds: places in ``elements`` of receiver and sender.
        """

    def energies(self, params: PyTree, graph: Graph) -> Float[Array, " atoms"]:
        """Return each atom's share of the energy in eV: half of every pair's it is in."""
        distance = _lengths(graph)
        kinds = _kinds(self.elements, graph)
        edges = self.pair(params, distance, kinds) * envelope(distance / self.cutoff)
        return 0.5 * jnp.zeros_like(graph.positions[:, 0]).at[graph.receivers].add(edges)


class LennardJones(Pair):
    """4ε((σ/r)¹² − (σ/r)⁶), with ε and σ per element and the mixing rules of Lorentz-Berthelot."""

    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return parameters of about the right size; ε in eV, σ in Å."""
        noise = jax.random.normal(key, (2, len(self.elements)))
        return {
            "log_depth": jnp.log(0.01) + 0.1 * noise[0],
            "length": _radii(self.elements) * 2.0 + 0.02 * noise[1],
        }

    def pair(self, params: PyTree, distance: Array, kinds: Array) -> Array:
        """Return each edge's pair energy in eV."""
        depth = jnp.exp(jnp.mean(params["log_depth"][kinds], axis=0))
        power = (jnp.mean(params["length"][kinds], axis=0) / distance) ** 6
        return 4 * depth * (power**2 - power)


class Morse(Pair):
    """D((1 − exp(−a(r − r₀)))² − 1), with D, a and r₀ per element, mixed by their means."""

    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return parameters of about the right size; D in eV, a in 1/Å, r₀ in Å."""
        noise = jax.random.normal(key, (3, len(self.elements)))
        return {
            "log_depth": 0.1 * noise[0],
            "log_rate": jnp.log(1.8) + 0.05 * noise[1],
            "length": 2 * _radii(self.elements) + 0.02 * noise[2],
        }

    def pair(self, params: PyTree, distance: Array, kinds: Array) -> Array:
        """Return each edge's pair energy in eV."""
        mean = {name: jnp.mean(values[kinds], axis=0) for name, values in params.items()}
        decay = jnp.exp(-jnp.exp(mean["log_rate"]) * (distance - mean["length"]))
        return jnp.exp(mean["log_depth"]) * (decay**2 - 2 * decay)


class Harmonic(Pair):
    """Springs between bonded atoms: k(r − r₀)²/2 below 1.3 times the sum of covalent radii.

    A spring fades out from 1.15 to 1.3 times that sum, so that the energy stays smooth.
    """

    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return parameters of about the right size; k in eV/Å², r₀ in Å."""
        noise = jax.random.normal(key, (2, len(self.elements)))
        return {
            "log_stiffness": jnp.log(30.0) + 0.1 * noise[0],
            "length": 2 * _radii(self.elements) + 0.02 * noise[1],
        }

    def pair(self, params: PyTree, distance: Array, kinds: Array) -> Array:
        """Return each edge's pair energy in eV, less its value where the spring breaks."""
        stiffness = jnp.exp(jnp.mean(params["log_stiffness"][kinds], axis=0))
        stretch = distance - jnp.mean(params["length"][kinds], axis=0)
        bond = jnp.sum(_radii(self.elements)[kinds], axis=0)
        broken = 0.5 * stiffness * (0.3 * bond) ** 2
        whole = jnp.clip((distance / bond - 1.15) / 0.15, 0.0, 1.0)
        return (0.5 * stiffness * stretch**2 - broken) * _fade(whole)


class ZBL(Pair):
    """Screened nuclear repulsion (Ziegler, Biersack, Littmark 1985); it has no parameters."""

    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return nothing: there is nothing to learn."""
        del key
        return {}

    def pair(self, params: PyTree, distance: Array, kinds: Array) -> Array:
        """Return each edge's pair energy in eV."""
        del params
        charges = jnp.asarray(self.elements, distance.dtype)[kinds]
        scaled = distance * jnp.sum(charges**0.23, axis=0) / ZBL_LENGTH
        screen = sum(
            weight * jnp.exp(-rate * scaled)
            for weight, rate in zip(ZBL_WEIGHTS, ZBL_RATES, strict=True)
        )
        return COULOMB * jnp.prod(charges, axis=0) / distance * screen


class Sum(Potential):
    """Several potentials as one: parameters are a tuple, energies add up."""

    parts: tuple[Potential, ...]
    elements: tuple[int, ...] = eqx.field(static=True)
    cutoff: float = eqx.field(static=True)

    def init(self, key: PRNGKeyArray) -> PyTree:
        """Return random parameters of each part."""
        keys = jax.random.split(key, len(self.parts))
        return tuple(part.init(one) for part, one in zip(self.parts, keys, strict=True))

    def energies(self, params: PyTree, graph: Graph) -> Float[Array, " atoms"]:
        """Return each atom's share of the energy in eV."""
        found = [part.energies(own, graph) for part, own in zip(self.parts, params, strict=True)]
        return jnp.sum(jnp.stack(found), axis=0)


def with_repulsion(potential: Potential, cutoff: float = 1.5) -> Sum:
    """Return a potential with ZBL's short-range repulsion added.

    Args:
        potential: any.
        cutoff: where the repulsion ends, in Å.
    """
    repulsion = ZBL(elements=potential.elements, cutoff=cutoff)
    # graphs are made with the longer cutoff; each part's envelope ends at its own.
    longest = max(potential.cutoff, cutoff)
    return Sum(parts=(potential, repulsion), elements=potential.elements, cutoff=longest)


def envelope(x: Float[Array, " edges"]) -> Float[Array, " edges"]:
    """Return 1 at x = 0 and 0 from x = 1 on, three times differentiable at both ends."""
    return _fade(jnp.clip(x, 0.0, 1.0))


def _fade(x: Array) -> Array:
    """Return 1 − 35x⁴ + 84x⁵ − 70x⁶ + 20x⁷: from 1 to 0 with three vanishing derivatives."""
    return 1 + x**4 * (-35 + x * (84 + x * (-70 + 20 * x)))


def _lengths(graph: Graph) -> Float[Array, " edges"]:
    vectors = jnp.asarray(graph.vectors())
    return jnp.sqrt(jnp.sum(vectors**2, axis=-1))  # no edge has length zero, padding included


def _kinds(elements: tuple[int, ...], graph: Graph) -> Int[Array, "2 edges"]:
    """Return the places in ``elements`` of each edge's two atoms."""
    place = jnp.searchsorted(jnp.asarray(elements, graph.numbers.dtype), graph.numbers)
    place = jnp.minimum(place, len(elements) - 1)
    return jnp.stack([place[graph.receivers], place[graph.senders]])


def _radii(elements: tuple[int, ...]) -> Float[Array, " elements"]:
    return jnp.asarray(table().radii[list(elements)], jnp.result_type(float))


ORGANIC = (1, 6, 7, 8)


def lennard_jones(elements: tuple[int, ...], cutoff: float = 8.0) -> LennardJones:
    """Return Lennard-Jones pairs; ``cutoff`` in Å."""
    return LennardJones(elements=tuple(sorted(elements)), cutoff=cutoff)


def morse(elements: tuple[int, ...], cutoff: float = 6.0) -> Morse:
    """Return Morse pairs; ``cutoff`` in Å."""
    return Morse(elements=tuple(sorted(elements)), cutoff=cutoff)


def harmonic(elements: tuple[int, ...], cutoff: float = 5.0) -> Harmonic:
    """Return springs along bonds; ``cutoff`` in Å."""
    return Harmonic(elements=tuple(sorted(elements)), cutoff=cutoff)


def zbl(elements: tuple[int, ...], cutoff: float = 2.0) -> ZBL:
    """Return the repulsion of nuclei; ``cutoff`` in Å."""
    return ZBL(elements=tuple(sorted(elements)), cutoff=cutoff)


def example_lennard_jones() -> LennardJones:
    """Return the instance the contract tests run."""
    return lennard_jones(ORGANIC)


def example_morse() -> Morse:
    """Return the instance the contract tests run."""
    return morse(ORGANIC)


def example_harmonic() -> Harmonic:
    """Return the instance the contract tests run."""
    return harmonic(ORGANIC)


def example_zbl() -> ZBL:
    """Return the instance the contract tests run."""
    return zbl(ORGANIC)

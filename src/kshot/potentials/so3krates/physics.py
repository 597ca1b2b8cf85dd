"""Physics beside the network: nuclear repulsion, electrostatics, and dispersion.

Repulsion is that of Ziegler, Biersack and Littmark with learned constants; electrostatics is of
Gaussian charges; dispersion is that of quantum Drude oscillators (10.1021/acs.jctc.3c00797), with
polarisabilities and C₆ of free atoms scaled by Hirshfeld ratios.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree
from scipy.special import erf

from kshot.potentials.so3krates.pairs import Pairs
from kshot.potentials.so3krates.radial import lengths, switch
from kshot.potentials.so3krates.sizes import Sizes

COULOMB = 14.399645351950548  # e²/(4πε₀) in eV Å
BOHR = 0.5291772105638411  # Å
HARTREE = 27.211386245988  # eV
FINE_STRUCTURE = 0.0072973525693
CLOSE = 1.5  # Å: the repulsion is gone beyond
ONSET = 0.45  # of the far cutoff: here electrostatics begins to be shifted
# of free atoms, by atomic number from 1, in atomic units
POLARISABILITIES = (
    *(4.5, 1.38, 164.2, 38.0, 21.0, 12.0, 7.4, 5.4, 3.8),
    *(2.67, 162.7, 71.0, 60.0, 37.0, 25.0, 19.6, 15.0, 11.1),
)
C6 = (
    *(6.5, 1.46, 1387.0, 214.0, 99.5, 46.6, 24.2, 15.6, 9.52),
    *(6.38, 1556.0, 627.0, 528.0, 305.0, 185.0, 134.0, 94.6, 64.3),
)
HEAVIEST = len(C6)
# an oscillator's width as a polynomial of the van der Waals radius, the constant first
WIDTH = (-0.00433008, 0.24428889, 0.04125273, -0.00078893)
RADIUS = 2.54  # times the seventh root of the polarisability


def repulsion(
    params: PyTree, numbers: Float[Array, " atoms"], pairs: Pairs
) -> Float[Array, " atoms"]:
    """Return each atom's share of the repulsion of nuclei, in eV.

    Args:
        params: rates, weights, power and inverse length, before softplus makes them positive.
        numbers: atomic numbers; 1 for padding.
        pairs: of neighbours.
    """
    positive = {name: jax.nn.softplus(value) for name, value in params.items()}
    first, second = pairs.first, pairs.second
    powers = numbers ** positive["power"]
    reach = powers[first] + powers[second]
    scaled = pairs.distance * reach * positive["inverse_length"]
    weights = positive["weights"] / jnp.sum(positive["weights"])
    screening = jnp.exp(-scaled[:, None] * positive["rates"]) @ weights
    bare = COULOMB * numbers[first] * numbers[second] / pairs.distance
    pair = bare * screening * pairs.weight * switch(pairs.distance, 0.0, CLOSE) / 2
    return pairs.sums(pair[:, None], pair[:, None], numbers.shape[0])[:, 0]


def far_distances(
    positions: Float[Array, "atoms 3"], together: Bool[Array, "atoms atoms"]
) -> tuple[Float[Array, "atoms atoms"], Bool[Array, "atoms atoms"]]:
    """Return distances between all atoms in Å, and which are of two atoms of one molecule."""
    pair = together & ~jnp.eye(positions.shape[0], dtype=bool)
    vectors = positions[:, None] - positions[None]
    # of other pairs, any distance with finite derivatives will do.
    return lengths(jnp.where(pair[..., None], vectors, 1)), pair


def electrostatics(
    charges: Float[Array, " atoms"],
    distance: Float[Array, "atoms atoms"],
    pair: Bool[Array, "atoms atoms"],
    sizes: Sizes,
) -> Float[Array, " atoms"]:
    """Return each atom's share of the Coulomb energy in eV; energy and force end at the cutoff."""
    end, width = sizes.far_cutoff, sizes.charge_width
    value = float(erf(end / width)) / end
    slope = 2 * math.exp(-((end / width) ** 2)) / (math.sqrt(math.pi) * width * end) - value / end
    bare = jax.scipy.special.erf(distance / width) / distance - value
    unshifted = switch(distance, ONSET * end, end)
    energy = bare - (1 - unshifted) * slope * (distance - end)
    inside = pair & (distance < end)
    return COULOMB / 2 * charges * (jnp.where(inside, energy, 0) @ charges)


def dispersion(
    ratios: Float[Array, " atoms"],
    free: Float[Array, "atoms 2"],
    distance: Float[Array, "atoms atoms"],
    pair: Bool[Array, "atoms atoms"],
    sizes: Sizes,
) -> Float[Array, " atoms"]:
    """Return each atom's share of the dispersion energy in eV.

    Args:
        ratios: of the atoms' volumes to those of free atoms, after Hirshfeld.
        free: polarisability and C₆ of the free atoms, in atomic units; 1 for padding.
        distance: in Å.
        pair: which distances count.
        sizes: of the network.
    """
    polarisability, own = free[:, 0] * ratios, free[:, 1] * ratios**2
    mean = (polarisability[:, None] + polarisability) / 2
    crossed = polarisability[:, None] ** 2 * own
    coefficient = 2 * own[:, None] * own * (polarisability[:, None] * polarisability)
    coefficient = coefficient / (crossed + crossed.T)
    root = jnp.where(pair, mean, 1) ** (1 / 7)
    inverse = 2 * _polynomial(FINE_STRUCTURE ** (-4 / 21) * root) ** 2
    far, near = (distance / BOHR) ** 2, (sizes.damping * 2 * RADIUS * root) ** 2
    series = 1 / (far**3 + near**3)
    series = series + 5 * inverse / (far**4 + near**4)
    series = series + 245 / 8 * inverse**2 / (far**5 + near**5)
    fade = switch(distance, sizes.far_cutoff - sizes.far_onset, sizes.far_cutoff)
    energy = jnp.where(pair, -coefficient * series * fade, 0)
    return HARTREE / 2 * jnp.sum(energy, axis=1)


def free_atoms(elements: tuple[int, ...]) -> Float[np.ndarray, "elements 2"]:
    """Return polarisability and C₆ of free atoms of some elements, in atomic units."""
    # single precision, as such networks are trained with.
    table = np.stack([POLARISABILITIES, C6], axis=1).astype(np.float32)
    return table[np.asarray(elements) - 1]


def _polynomial(x: Array) -> Array:
    return WIDTH[0] + x * (WIDTH[1] + x * (WIDTH[2] + x * WIDTH[3]))

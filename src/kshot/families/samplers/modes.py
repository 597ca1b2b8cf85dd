"""Normal modes of a Hessian for given masses, and the closed forms of what they do at T."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Structure
from kshot.core.units import ACCELERATION, BOLTZMANN, HBAR, INVERSE_CM
from kshot.families.samplers.isotopes import masses_of

Statistics = Literal["classical", "quantum"]
SOFT = 50.0  # cm⁻¹


@dataclass(frozen=True, eq=False)
class Curvature:
    """A surface to second order around a minimum.

    Args:
        structure: the relaxed scaffold.
        energy: at the minimum, in eV.
        hessian: second derivatives of the energy in eV/Å², symmetric; x, y, z of the first atom
            come first.
        step: of the differences it was made by, in Å.
    """

    structure: Structure
    energy: float
    hessian: Float64[np.ndarray, "coordinates coordinates"]
    step: float

    def energies(
        self, positions: Float64[np.ndarray, "frames atoms 3"]
    ) -> Float64[np.ndarray, " frames"]:
        """Return the harmonic energies of configurations above the minimum, in eV."""
        moved = (positions - self.structure.positions).reshape(len(positions), -1)
        return 0.5 * np.einsum("fi,ij,fj->f", moved, self.hessian, moved)


@dataclass(frozen=True, eq=False)
class Modes:
    """The vibrations of a molecule: translations and rotations are projected out, exactly.

    Args:
        structure: the minimum, with the masses of its isotopes.
        quanta: ħω of each mode in eV, from soft to stiff; negative stands for imaginary.
        displacements: mass-weighted Cartesian modes made plain: column k of M^(−1/2) L, in
            u^(−1/2); a mass-weighted amplitude Q (Å √u) moves the atoms by ``Q · displacements``.
        soft: modes with a smaller quantum (eV) move as if they had this one, so that a hindered
            rotor's straight line does not tear the molecule apart.
    """

    structure: Structure
    quanta: Float64[np.ndarray, " modes"]
    displacements: Float64[np.ndarray, "modes coordinates"]
    soft: float

    @property
    def wavenumbers(self) -> Float64[np.ndarray, " modes"]:
        """Of each mode in cm⁻¹; negative stands for imaginary."""
        return self.quanta / INVERSE_CM

    def variances(
        self, temperature: float, statistics: Statistics
    ) -> Float64[np.ndarray, " modes"]:
        """Return the variance of each mode's mass-weighted amplitude, in Å² u.

        Classical: kT/ω². Quantum: (ħ/2ω) coth(ħω/2kT), which at 0 K is ħ/2ω.

        Args:
            temperature: in K.
            statistics: of the nuclei.
        """
        quantum = np.maximum(self.quanta, self.soft)
        # With energies in eV, lengths in Å and masses in u, ω² comes in eV/(Å² u).
        omega2 = (quantum / HBAR) ** 2 / ACCELERATION
        return 2 * self.potential_energies(temperature, statistics) / omega2

    def potential_energies(
        self, temperature: float, statistics: Statistics
    ) -> Float64[np.ndarray, " modes"]:
        """Return the mean potential energy of each mode in eV: kT/2, or (ħω/4) coth(ħω/2kT).

        Args:
            temperature: in K.
            statistics: of the nuclei.
        """
        quantum = np.maximum(self.quanta, self.soft)
        kT = BOLTZMANN * temperature
        if statistics == "classical":
            return np.full(len(quantum), kT / 2)
        if kT == 0:
            return quantum / 4
        return quantum / 4 / np.tanh(quantum / (2 * kT))

    def covariance(
        self, temperature: float, statistics: Statistics
    ) -> Float64[np.ndarray, "coordinates coordinates"]:
        """Return the covariance of the positions, in Å².

        Args:
            temperature: in K.
            statistics: of the nuclei.
        """
        weighted = self.variances(temperature, statistics)[:, None] * self.displacements
        return self.displacements.T @ weighted

    def draw(
        self,
        n: int,
        temperature: float,
        statistics: Statistics,
        rng: np.random.Generator,
    ) -> Float64[np.ndarray, "n atoms 3"]:
        """Return displacements from the minimum, in Å, along straight lines.

        Args:
            n: how many.
            temperature: in K.
            statistics: of the nuclei.
            rng: where the randomness comes from.
        """
        amplitudes = rng.standard_normal((n, len(self.quanta)))
        amplitudes *= np.sqrt(self.variances(temperature, statistics))
        return (amplitudes @ self.displacements).reshape(n, -1, 3)


def modes(
    curvature: Curvature,
    masses: Float64[np.ndarray, " atoms"] | None = None,
    *,
    soft: float = SOFT,
) -> Modes:
    """Return the normal modes for the given masses.

    Args:
        curvature: minimum and Hessian.
        masses: in u; the structure's own if None.
        soft: modes below this wavenumber, in cm⁻¹, move as if they had it.
    """
    structure = curvature.structure
    if masses is not None:
        structure = structure.replace(masses=masses)
    root = np.sqrt(np.repeat(masses_of(structure), 3))
    basis = vibrations(structure.positions, root)
    weighted = basis.T @ (curvature.hessian / np.outer(root, root)) @ basis
    omega2, vectors = np.linalg.eigh(weighted)
    quanta = HBAR * np.sqrt(np.abs(omega2) * ACCELERATION) * np.sign(omega2)
    return Modes(structure, quanta, (basis @ vectors / root[:, None]).T, soft * INVERSE_CM)


def vibrations(
    positions: Float64[np.ndarray, "atoms 3"], root: Float64[np.ndarray, " coordinates"]
) -> Float64[np.ndarray, "coordinates modes"]:
    """Return an orthonormal basis of what is left of mass-weighted space beside rigid motions.

    Three rotations are taken out, or two of a linear molecule, or none of an atom.

    Args:
        positions: in Å.
        root: square root of the mass of each coordinate.
    """
    weights = root[::3] ** 2
    centred = positions - (weights[:, None] * positions).sum(0) / weights.sum()
    shifts = np.tile(np.eye(3), (len(positions), 1))
    turns = np.stack([np.cross(axis, centred).ravel() for axis in np.eye(3)], 1)
    rigid = np.concatenate([shifts, turns], 1) * root[:, None]
    left, singular, _ = np.linalg.svd(rigid, full_matrices=True)
    rank = int((singular > 1e-4 * singular[0]).sum())
    return left[:, rank:]

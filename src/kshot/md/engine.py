"""The engine that moves atoms: ASE's integrators on any calculator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Structure
from kshot.atoms.asedb import to_ase
from kshot.md.settings import Settings
from kshot.md.state import State

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator


class Engine:
    """A molecule on its way: state in, state out, and nothing else that counts.

    A run that goes on from a state gives the numbers of one that was never interrupted, bit for
    bit, if the calculator does.
    """

    def __init__(self, structure: Structure, calculator: Calculator, settings: Settings) -> None:
        """Set up the atoms; nothing is computed yet.

        Args:
            structure: what moves; masses are those of its isotopes.
            calculator: energies and forces.
            settings: ensemble, step, thermostat.
        """
        from ase import units
        from ase.md.langevin import Langevin
        from ase.md.verlet import VelocityVerlet

        self._settings = settings
        self._atoms = to_ase(structure)
        self._atoms.calc = calculator
        self._rng = np.random.Generator(np.random.PCG64(settings.seed))
        step = settings.timestep * units.fs
        if settings.ensemble == "nve":
            self._move = VelocityVerlet(self._atoms, step)
        else:
            self._move = Langevin(
                self._atoms,
                step,
                temperature_K=settings.temperature,
                friction=settings.friction / (1e3 * units.fs),
                fixcm=False,
                rng=self._rng,
            )
        self._step = 0

    @property
    def masses(self) -> Float64[np.ndarray, " atoms"]:
        """In u."""
        return self._atoms.get_masses()

    def begin(self) -> State:
        """Return the first state: velocities of the temperature; none of the whole in nve."""
        from ase.md.velocitydistribution import Stationary, ZeroRotation, thermalize_momenta

        settings = self._settings
        thermalize_momenta(self._atoms, temperature_K=settings.temperature, rng=self._rng)
        if settings.ensemble == "nve":
            Stationary(self._atoms, preserve_temperature=False)
            if not self._atoms.pbc.any() and len(self._atoms) > 2:
                ZeroRotation(self._atoms, preserve_temperature=False)
            kelvin = self.temperature(self._atoms.get_momenta())
            if kelvin > 0:
                self._atoms.set_momenta(
                    self._atoms.get_momenta() * (settings.temperature / kelvin) ** 0.5
                )
        return self._state()

    def go_on(self, state: State) -> None:
        """Take up a state."""
        self._atoms.set_positions(state.positions)
        self._atoms.set_momenta(state.momenta)
        self._rng.bit_generator.state = state.random
        self._step = state.step

    def advance(self, steps: int) -> State:
        """Move on, and return where that led."""
        self._move.run(steps)
        self._step += steps
        return self._state()

    def temperature(self, momenta: Float64[np.ndarray, "atoms 3"]) -> float:
        """Return the temperature of momenta in K; what nve holds still has none."""
        from ase.units import kB

        return 2 * self.kinetic(momenta) / (self.freedom * kB)

    def kinetic(self, momenta: Float64[np.ndarray, "atoms 3"]) -> float:
        """Return the kinetic energy in eV."""
        return float(0.5 * np.sum(momenta**2 / self.masses[:, None]))

    @property
    def freedom(self) -> int:
        """How many degrees of freedom move."""
        every = 3 * len(self._atoms)
        if self._settings.ensemble == "nvt" or len(self._atoms) < 2:
            return every
        turning = 3 if not self._atoms.pbc.any() and len(self._atoms) > 2 else 0
        return max(1, every - 3 - turning)

    def _state(self) -> State:
        return State(
            self._step,
            self._atoms.get_positions(),
            self._atoms.get_momenta(),
            dict(self._rng.bit_generator.state),
            float(self._atoms.get_potential_energy()),
            np.array(self._atoms.get_forces()),
        )

"""A picosecond of Langevin dynamics with ASE, on any model."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kshot.core.bars import bar

if TYPE_CHECKING:
    from kshot.atoms import Structure
    from kshot.potentials.model import Model

FEMTOSECONDS = 1000.0
STEP = 0.5  # fs
FRICTION = 0.02  # 1/fs
EVERY = 20  # steps between two points of the trace


class Trace(NamedTuple):
    """What dynamics went through.

    Args:
        time: in fs.
        energy: potential energy less that of the first frame, in eV.
        temperature: in K.
    """

    time: list[float]
    energy: list[float]
    temperature: list[float]


def dynamics(model: Model, structure: Structure, kelvin: float) -> Trace:
    """Move a structure at a temperature, and return the trace of it."""
    from ase import units
    from ase.md.langevin import Langevin
    from ase.md.velocitydistribution import thermalize_momenta

    from kshot.atoms.asedb import to_ase

    atoms = to_ase(structure)
    atoms.calc = model.calculator()
    rng = np.random.default_rng(0)
    thermalize_momenta(atoms, temperature_K=kelvin, rng=rng)
    friction = FRICTION / units.fs
    move = Langevin(
        atoms, STEP * units.fs, temperature_K=kelvin, friction=friction, fixcm=False, rng=rng
    )
    steps = int(FEMTOSECONDS / STEP)
    first = atoms.get_potential_energy()
    trace = Trace([], [], [])
    with bar("dynamics", steps) as advance:
        for done in range(EVERY, steps + 1, EVERY):
            move.run(EVERY)
            trace.time.append(done * STEP)
            trace.energy.append(float(atoms.get_potential_energy() - first))
            trace.temperature.append(float(atoms.get_temperature()))
            advance(EVERY, f"{trace.temperature[-1]:.0f} K")
    return trace

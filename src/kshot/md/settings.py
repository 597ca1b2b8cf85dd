"""What a run of dynamics is asked for, checked before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from kshot.core.errors import OptionError

ENSEMBLES = ("nve", "nvt")
LONGEST = 5.0  # fs: of no use to any molecule
LONG_FOR_HYDROGEN = 1.0  # fs
LIGHT = 1.5  # u: protium, whose stretch takes 9 fs


@dataclass(frozen=True)
class Settings:
    """A run of dynamics.

    Args:
        ensemble: ``nve`` (velocity Verlet) or ``nvt`` (Langevin).
        steps: how many in all, those of a run that goes on included.
        timestep: in fs.
        temperature: in K: of the thermostat, and of the first velocities.
        friction: of the thermostat, in 1/ps.
        every: steps between two frames of the trajectory.
        seed: of velocities and thermostat.
    """

    ensemble: str = "nvt"
    steps: int = 2000
    timestep: float = 0.5
    temperature: float = 300.0
    friction: float = 10.0
    every: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be run."""
        if self.ensemble not in ENSEMBLES:
            todo = "nvt holds a temperature, nve an energy."
            raise OptionError("an ensemble: nve or nvt", repr(self.ensemble), todo)
        for name in ("steps", "every"):
            if getattr(self, name) < 1:
                todo = "Ask for one or more."
                raise OptionError(f"{name} of one or more", str(getattr(self, name)), todo)
        if not 0 < self.timestep <= LONGEST:
            todo = "0.5 fs is right with hydrogen."
            raise OptionError(
                f"a time step above 0, up to {LONGEST:g} fs", f"{self.timestep}", todo
            )
        if not self.temperature > 0:
            raise OptionError("a temperature above 0 K", f"{self.temperature}", "300 is common.")
        if not self.friction > 0:
            todo = "10 per ps is common; for no thermostat take nve."
            raise OptionError("a friction above 0 per ps", f"{self.friction}", todo)

    def doubts(self, masses: Float64[np.ndarray, " atoms"]) -> Iterator[str]:
        """Yield what a user should know of it before it is run.

        Args:
            masses: of the atoms, in u.
        """
        if self.timestep > LONG_FOR_HYDROGEN and (masses < LIGHT).any():
            yield (
                f"a time step of {self.timestep:g} fs is long for hydrogen, whose stretch takes "
                "9 fs: energies will drift; 0.5 fs is right"
            )

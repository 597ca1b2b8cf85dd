"""Where a run of dynamics is: all that its next step depends on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from kshot.core.arrays_file import DAMAGED, read_arrays
from kshot.core.errors import CheckpointError
from kshot.core.whole import whole

MOST_BYTES = 1 << 28  # a million atoms


class State(NamedTuple):
    """Between two steps.

    Args:
        step: how many have been done.
        positions: in Å.
        momenta: in ASE's units, u Å √(eV/u)/Å.
        random: state of the generator that the thermostat draws from; plain JSON values.
        energy: potential energy in eV.
        forces: in eV/Å.
    """

    step: int
    positions: Float64[np.ndarray, "atoms 3"]
    momenta: Float64[np.ndarray, "atoms 3"]
    random: dict[str, Any]
    energy: float
    forces: Float64[np.ndarray, "atoms 3"]


class Restart(NamedTuple):
    """A state on the disk, whose run it is, and how much of its files belongs to it.

    Args:
        state: to go on from.
        run: what decides every number of the run; plain JSON values.
        sizes: bytes of each file that is appended to, by name.
    """

    state: State
    run: dict[str, Any]
    sizes: dict[str, int]


def write_restart(path: Path, restart: Restart) -> None:
    """Write a restart file, whole or not at all."""
    state = restart.state
    plain = {
        "step": state.step,
        "energy": state.energy,
        "random": state.random,
        "run": restart.run,
        "sizes": restart.sizes,
    }
    text = np.frombuffer(json.dumps(plain, sort_keys=True).encode(), np.uint8)
    with whole(path) as part, part.open("wb") as file:
        np.savez(
            file,
            plain=text,
            positions=state.positions,
            momenta=state.momenta,
            forces=state.forces,
        )


def read_restart(path: Path) -> Restart:
    """Return what a restart file holds; nothing in it is executed.

    Raises:
        CheckpointError: it is damaged, or no restart file.
    """
    try:
        arrays = read_arrays(path, MOST_BYTES)
        names = ("positions", "momenta", "forces")
        positions, momenta, forces = (np.array(arrays[name], np.float64) for name in names)
        plain = json.loads(arrays["plain"].tobytes().decode())
        shapes = {array.shape for array in (positions, momenta, forces)}
        if len(shapes) != 1 or positions.ndim != 2 or positions.shape[1] != 3:
            raise ValueError(f"arrays of shapes {sorted(shapes)}")
        state = State(
            int(plain["step"]),
            positions,
            momenta,
            dict(plain["random"]),
            float(plain["energy"]),
            forces,
        )
        return Restart(state, dict(plain["run"]), {k: int(v) for k, v in plain["sizes"].items()})
    except (*DAMAGED, OSError) as error:
        todo = "Begin again with --force, or give the right file."
        raise CheckpointError(f"{path} is no restart file of kshot: {error}. {todo}") from error

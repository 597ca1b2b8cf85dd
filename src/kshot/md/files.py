"""The files of a run of dynamics, which agree whenever the run is killed.

Trajectory and table are appended to; the restart file says how many bytes of each belong to its
state. What stands behind them is cut off when the run goes on.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Labels, Structure
from kshot.atoms.extxyz_write import extxyz_text
from kshot.atoms.reading import BARE
from kshot.core.errors import OutputError
from kshot.md.state import Restart, State, read_restart, write_restart

COLUMNS = ("step", "time_fs", "potential_eV", "kinetic_eV", "temperature_K", "broken_bonds")
ANEW = "Name another file, or add --force (in Python: force=True) to begin anew."


class Files(NamedTuple):
    """The files of a run, all named after its trajectory."""

    trajectory: Path

    @property
    def table(self) -> Path:
        """Energies and temperature of each frame, as CSV."""
        return self.trajectory.with_suffix(".csv")

    @property
    def restart(self) -> Path:
        """Where the run can go on."""
        return self.trajectory.with_suffix(".restart.npz")

    @property
    def appended(self) -> dict[str, Path]:
        """What grows, by the name that the restart file has for it."""
        return {"trajectory": self.trajectory, "table": self.table}

    def begin(self, state: State, run: Mapping[str, Any]) -> None:
        """Make the files of a new run; those of another one are replaced."""
        self.trajectory.parent.mkdir(parents=True, exist_ok=True)
        write_restart(self.restart, Restart(state, dict(run), dict.fromkeys(self.appended, 0)))
        for path in self.appended.values():
            path.write_bytes(b"")

    def keep(self, state: State, run: Mapping[str, Any]) -> None:
        """Write where the run is, once all of its frames are written."""
        sizes = {name: path.stat().st_size for name, path in self.appended.items()}
        write_restart(self.restart, Restart(state, dict(run), sizes))

    def resume(self, run: Mapping[str, Any]) -> State | None:
        """Return where a run is, its files cut to that; None where there is nothing.

        Args:
            run: what decides every number of it.

        Raises:
            OutputError: files of another run, or some that are no run's.
            CheckpointError: the restart file is damaged.
        """
        present = [path for path in (*self.appended.values(), self.restart) if path.exists()]
        if not present:
            return None
        if not self.restart.exists():
            got = f"{present[0]}, which exists"
            raise OutputError("a new name, or a run that can go on", got, ANEW)
        restart = read_restart(self.restart)
        if other := [name for name in run if restart.run.get(name) != run[name]]:
            got = f"one of another {', '.join(other)} in {self.restart}"
            raise OutputError("a run of the same settings", got, ANEW)
        for name, path in self.appended.items():
            size = restart.sizes.get(name, 0)
            path.touch()
            if path.stat().st_size < size:
                raise OutputError("the whole of a run's files", f"{path} cut short", ANEW)
            os.truncate(path, size)
        return restart.state

    def write_frame(self, structure: Structure, state: State, row: Sequence[float | int]) -> None:
        """Append a frame to the trajectory, and its row to the table.

        Args:
            structure: at the state's positions, with what is to be said of the frame.
            state: of the run.
            row: one number for each of `COLUMNS`.
        """
        if state.step == 0:
            _append(self.table, _csv(COLUMNS))
        text = extxyz_text(structure, Labels(state.energy, state.forces), BARE)
        _append(self.trajectory, text)
        _append(self.table, _csv(row))

    def rows(self) -> Float64[np.ndarray, "frames columns"]:
        """Return the table."""
        return np.loadtxt(self.table, delimiter=",", skiprows=1, ndmin=2)


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def _csv(values: Sequence[Any]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()

"""Where results of far workers touch ground before they travel: a folder beside the ledger.

Only the client writes the ledger, and Dask loses what a worker has finished when that worker or the
client dies. So a worker that sees the ledger's folder leaves each result there first, in a file
named by its content's address, and looks there before it runs anything. The client removes the file
when the result is in the ledger and on the disk.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labels, Structure
from kshot.labelers.ledger import Ledger
from kshot.labelers.outcome import Outcome

MOST = 200  # files that wait to be removed


def landing(ledger: Path) -> Path:
    """Return the folder that belongs to a ledger."""
    return ledger.absolute().with_name(ledger.name + "-landing")


def file_of(folder: Path, structure: Structure, fingerprint: Fingerprint) -> Path:
    """Return where a result waits."""
    return folder / f"{structure.key}-{fingerprint.digest}.json"


def leave(path: Path, outcome: Outcome) -> None:
    """Leave a result, whole or not at all; do nothing where the folder cannot be seen."""
    part = path.with_suffix(f".{os.getpid()}.part")
    # A disk that is full or not shared costs at worst a second run, never the first one's result.
    with contextlib.suppress(OSError):
        part.write_text(json.dumps(_plain(outcome)))
        part.replace(path)


def find(path: Path, fingerprint: Fingerprint) -> Outcome | None:
    """Return the result that waits at a path, if there is one."""
    try:
        said = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return None
    if "reason" in said:
        return Outcome(Failure(said["reason"], said["detail"]), said["cost"])
    stress = None if said["stress"] is None else np.array(said["stress"])
    forces = np.array(said["forces"], np.float64).reshape(-1, 3)
    return Outcome(Labels(said["energy"], forces, stress, fingerprint), said["cost"])


def _plain(outcome: Outcome) -> dict[str, Any]:
    result = outcome.result
    if isinstance(result, Failure):
        return {"reason": result.reason, "detail": result.detail, "cost": outcome.cost}
    return {
        "energy": float(result.energy),
        "forces": result.forces.tolist(),  # JSON keeps every bit of a float
        "stress": None if result.stress is None else result.stress.tolist(),
        "cost": outcome.cost,
    }


class Landed:
    """Removes files of results that are safe in the ledger.

    Args:
        ledger: where results go.
    """

    def __init__(self, ledger: Ledger) -> None:
        """Make the folder."""
        self._ledger, self.folder = ledger, landing(ledger.path)
        self.folder.mkdir(exist_ok=True)
        self._safe: list[Path] = []

    def add(self, path: Path) -> None:
        """Note that a result is in the ledger."""
        self._safe.append(path)
        if len(self._safe) >= MOST:
            self.clear()

    def clear(self) -> None:
        """Remove files of results in the ledger, once that is on the disk."""
        self._ledger.sync()
        for path in self._safe:
            path.unlink(missing_ok=True)
        self._safe = []

    def close(self) -> None:
        """Remove what is safe, and the folder if nothing else waits there."""
        self.clear()
        with contextlib.suppress(OSError):
            self.folder.rmdir()

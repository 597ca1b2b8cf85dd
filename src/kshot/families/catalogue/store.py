"""Files made by `kshot.families.catalogue.refresh`: geometries, and what engines do with them.

JSON, one line per member, so that they load in milliseconds and show what changed in a diff.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from kshot.atoms import Structure
from kshot.families.catalogue.entries import Entry

MADE = Path(__file__).parent / "made"
DECIMALS = 5


@dataclass(frozen=True)
class Status:
    """What one engine did with one member.

    Args:
        family: its family.
        member: its name.
        engine: name of the engine.
        fingerprint: of its level of theory, in short words.
        outcome: ``"converges"``; ``"changes"`` where it does, but the molecule turns into another
            one as it relaxes; ``"does not relax"`` where it does at the geometry as built, but
            fails or finds no minimum on the way down; or the reason of the failure.
        detail: the engine's words, or how the geometry changed.
        energy: at the stored geometry, in eV; None if it failed.
        fmax: largest force on an atom there, in eV/Å; None if it failed.
    """

    family: str
    member: str
    engine: str
    fingerprint: str
    outcome: str
    detail: str = ""
    energy: float | None = None
    fmax: float | None = None

    @property
    def words(self) -> str:
        """One line for people."""
        return f"{self.outcome}: {self.detail}" if self.detail else self.outcome


def geometries_file(stratum: str) -> Path:
    """Return where the geometries of a stratum are kept."""
    return MADE / f"{stratum}.jsonl"


def status_file(stratum: str) -> Path:
    """Return where the status of the members of a stratum is kept."""
    return MADE / f"{stratum}.status.jsonl"


def write_geometries(path: Path, built: Iterable[tuple[Entry, Structure]]) -> None:
    """Write the reference geometries of a stratum."""
    lines = [
        json.dumps(
            {
                "family": entry.family,
                "member": entry.name,
                "recipe": entry.recipe,
                "numbers": structure.numbers.tolist(),
                "positions": structure.positions.round(DECIMALS).ravel().tolist(),
            },
            separators=(",", ":"),
        )
        for entry, structure in built
    ]
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def read_geometries(path: Path) -> dict[tuple[str, str, str], tuple[np.ndarray, np.ndarray]]:
    """Return numbers and positions in Å by family, member and recipe; empty without the file."""
    if not path.exists():
        return {}
    rows = map(json.loads, path.read_text().splitlines())
    return {
        (row["family"], row["member"], row["recipe"]): (
            np.array(row["numbers"]),
            np.array(row["positions"], float).reshape(-1, 3),
        )
        for row in rows
    }


def write_status(path: Path, rows: Iterable[Status]) -> None:
    """Write what engines do, one line per member and engine."""
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{json.dumps(asdict(row))}\n" for row in rows))


def read_status(path: Path) -> tuple[Status, ...]:
    """Return what engines did, as last measured; empty without the file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return tuple(Status(**json.loads(line)) for line in lines)


def by_member(rows: Iterable[Status]) -> Mapping[tuple[str, str], dict[str, str]]:
    """Return the words of each engine by family and member."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        found.setdefault((row.family, row.member), {})[row.engine] = row.words
    return found

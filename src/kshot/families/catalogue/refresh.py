"""Make the catalogue's stored files anew: geometries relaxed by an engine, and its status."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from kshot.atoms import Failure, Labeler, Labels, Structure
from kshot.core.bars import bar
from kshot.families.catalogue.bonds import what_changed
from kshot.families.catalogue.build import build_entry
from kshot.families.catalogue.entries import Entry, data_files, read_entries
from kshot.families.catalogue.store import (
    DECIMALS,
    Status,
    geometries_file,
    status_file,
    write_geometries,
    write_status,
)
from kshot.families.family import CONVERGES
from kshot.families.samplers.relax import relax

CHANGES = "changes"
CONVERGES_BUT = "does not relax"
FORCE = 0.05  # eV/Å: near enough for samplers to go on from
STEPS = 600


def refresh(
    labeler: Labeler,
    engine: str,
    *,
    strata: Collection[str] = (),
    seed: int = 0,
    folder: Path | None = None,
    show: bool = True,
) -> tuple[Status, ...]:
    """Build and relax every member, and write geometries and status, stratum by stratum.

    Args:
        labeler: relaxes and is judged.
        engine: the name it goes by in the status.
        strata: only these; the files of others stay as they are. Empty takes all.
        seed: of the builders.
        folder: where to write; None writes into the package.
        show: whether to show a progress bar.

    Returns:
        The status of each member, in the order of the data files.
    """
    families = [family for path in data_files() for family in read_entries(path)]
    chosen = {
        stratum: [member for f in families if f.stratum == stratum for member in f.members]
        for stratum in dict.fromkeys(family.stratum for family in families)
        if not strata or stratum in strata
    }
    rows: list[Status] = []
    with bar("relaxing", sum(map(len, chosen.values())), show=show) as advance:
        for stratum, entries in chosen.items():
            made = []
            for entry in entries:
                structure, status = examine(entry, labeler, engine, seed=seed)
                made.append((entry, structure))
                rows.append(status)
                bad = sum(row.outcome != CONVERGES for row in rows)
                advance(1, f"{bad} marked")
            write_geometries(_into(folder, geometries_file(stratum)), made)
            write_status(_into(folder, status_file(stratum)), rows[-len(made) :])
    return tuple(rows)


def examine(
    entry: Entry, labeler: Labeler, engine: str, *, seed: int = 0
) -> tuple[Structure, Status]:
    """Build and relax one member, and say how the engine did.

    Where the engine fails, or the molecule turns into another, the structure is the unrelaxed one.
    """
    built = _rounded(build_entry(entry, seed=seed))

    def status(outcome: str, detail: str = "", labels: Labels | None = None) -> Status:
        """Fill in what is the same for all outcomes."""
        energy = None if labels is None else round(labels.energy, 6)
        fmax = None if labels is None else round(_fmax(labels), 4)
        who = (entry.family, entry.name, engine, str(labeler.fingerprint))
        return Status(*who, outcome, detail, energy, fmax)

    first = labeler.label(built)
    if isinstance(first, Failure):
        return built, status(first.reason, first.detail)
    relaxed = relax(built, labeler, force=FORCE, steps=STEPS)
    if isinstance(relaxed, Failure):
        return built, status(CONVERGES_BUT, relaxed.detail, first)
    if changed := what_changed(entry, relaxed):
        return built, status(CHANGES, changed, first)
    structure = _rounded(relaxed)
    labels = labeler.label(structure)
    if isinstance(labels, Failure):
        return built, status(labels.reason, labels.detail)
    return structure, status(CONVERGES, labels=labels)


def _into(folder: Path | None, path: Path) -> Path:
    return path if folder is None else folder / path.name


def _rounded(structure: Structure) -> Structure:
    """Return what will be read back: as many digits as the file keeps, and centred."""
    centred = structure.positions - structure.positions.mean(axis=0)
    return structure.replace(positions=np.round(centred, DECIMALS) + 0.0)


def _fmax(labels: Labels) -> float:
    return float(np.linalg.norm(labels.forces, axis=1).max())

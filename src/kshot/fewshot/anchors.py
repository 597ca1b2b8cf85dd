"""Anchors: labelled structures of many families that travel inside a start, to bound forgetting.

They are held twice: as rows of the fit that ask predictions to stay, and as the set on which what
was forgotten is measured. Nothing has to be downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kshot.atoms import Labelled, Labels, Structure
from kshot.atoms.e0s import E0s
from kshot.atoms.graph import graph
from kshot.fewshot.jacobian import Rows, rows
from kshot.fewshot.kept_rows import kept
from kshot.potentials.model import Model
from kshot.potentials.model_predict import prepare
from kshot.potentials.packed import pieces

NAME = "anchors"
WAYS = 8  # directions of force per anchor; with two, twice as much was forgotten on uracil
FORGOTTEN = 1.25  # times the start's force errors on anchors: more is worth a warning
LEAST = 1e-6  # eV/Å: a start that makes no errors at all forgets by a finite factor


class Drift(NamedTuple):
    """Root mean square force errors on the anchors, in eV/Å, and energies per atom in eV.

    Energies are compared less the mean of each model's error: shifts are no forgetting.
    """

    forces_before: float
    forces_after: float
    energy_before: float
    energy_after: float

    @property
    def ratio(self) -> float:
        """Force errors after adaptation, as a multiple of those before."""
        return self.forces_after / max(self.forces_before, LEAST)

    def summary(self) -> dict[str, float]:
        """Return the errors and their ratio as plain values, in eV and eV/Å."""
        return {**self._asdict(), "forces_ratio": self.ratio}

    def warning(self, keep: float) -> str | None:
        """Return what to say of a model that has forgotten too much, and what to do about it."""
        if self.ratio <= FORGOTTEN:
            return None
        return (
            f"force errors on other chemistry (anchors) are ×{self.ratio:.2f} those of the start: "
            f"use this model for what was labelled only, or hold the rest harder with "
            f"--keep {max(10.0, 10 * keep):g}"
        )


def as_anchors(labelled: Sequence[Labelled]) -> dict[str, Any]:
    """Return labelled structures as the arrays that a start carries."""
    sizes = np.array([len(frame.structure) for frame in labelled], np.int32)
    join = lambda parts, kind: np.concatenate([np.asarray(p, kind) for p in parts])  # noqa: E731
    return {
        "sizes": sizes,
        "numbers": join([frame.structure.numbers for frame in labelled], np.int32),
        "positions": join([frame.structure.positions for frame in labelled], np.float32),
        "energies": np.array([frame.labels.energy for frame in labelled], np.float64),
        "forces": join([frame.labels.forces for frame in labelled], np.float32),
    }


def anchors_of(start: Model) -> list[Labelled]:
    """Return a start's anchors; none if it carries none."""
    held = start.learned.get(NAME)
    if held is None:
        return []
    ends = np.cumsum(np.asarray(held["sizes"]))[:-1]
    kinds = {"numbers": np.int64, "positions": np.float64, "forces": np.float64}
    columns = (np.split(np.asarray(held[name], kind), ends) for name, kind in kinds.items())
    energies = np.asarray(held["energies"])
    return [
        Labelled(Structure(numbers, positions), Labels(float(energy), forces))
        for numbers, positions, forces, energy in zip(*columns, energies, strict=True)
    ]


def anchor_rows(
    start: Model, folder: Path | None = None, memory: float | None = None
) -> Rows | None:
    """Return the rows of a start's anchors, or None if it carries none.

    Args:
        start: the start.
        folder: where they are kept for the next adaptation; nowhere if None.
        memory: bytes of derivatives that are held at once; all of them if None.
    """
    held = anchors_of(start)
    if not held:
        return None

    def make() -> Rows:
        sums = E0s(start.e0s, "dictionary").sums([frame.structure for frame in held])
        made = pieces(held, start.potential.cutoff, sums, start.dtype)
        return rows(
            start.potential, start.params, made, directions=WAYS, one_size=True, memory=memory
        )

    return kept(folder if memory is None else None, f"{start.digest} {WAYS}", make)


def drift(start: Model, adapted: Model) -> Drift | None:
    """Return what adaptation changed on the start's anchors; None if it carries none."""
    held = anchors_of(start)
    if not held:
        return None
    before, after = (_errors(model, held) for model in (start, adapted))
    return Drift(before[1], after[1], before[0], after[0])


def _errors(model: Model, held: Sequence[Labelled]) -> tuple[float, float]:
    structures = [frame.structure for frame in held]
    graphs = [graph(structure, model.potential.cutoff, model.dtype) for structure in structures]
    predicted = prepare(model.potential, graphs).predict(model.params)
    sums = E0s(model.e0s, "dictionary").sums(structures)
    energies = np.array([energy for energy, _ in predicted]) + sums
    off = (energies - [frame.labels.energy for frame in held]) / [
        len(structure) for structure in structures
    ]
    forces = np.concatenate(
        [f - frame.labels.forces for (_, f), frame in zip(predicted, held, strict=True)]
    )
    return float(off.std()), float(np.sqrt(np.mean(forces**2)))

"""The Hessian of an engine's surface at a minimum, by differences of forces.

It knows no masses: all isotopes of a scaffold share one, and it can be kept in a folder.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Labeler, Structure
from kshot.core.arrays_file import read_arrays
from kshot.core.bars import bar
from kshot.core.whole import whole
from kshot.families.samplers.base import Surface
from kshot.families.samplers.modes import Curvature, modes
from kshot.families.samplers.relax import relaxed

DOWNHILL = 0.1  # Å: how far to step off a saddle point before relaxing again
TRIES = 4


def curvature(
    structure: Structure,
    labeler: Labeler,
    *,
    step: float = 0.005,
    force: float = 1e-3,
    folder: Path | None = None,
    show: bool = False,
) -> Curvature:
    """Relax the scaffold and return its Hessian by central differences: 6 labels per atom.

    Where the relaxed structure is a saddle point, it is pushed along the worst mode and relaxed
    again, up to three times; a mode that stays imaginary is left to `Modes` to judge.

    Args:
        structure: where to start.
        labeler: the engine.
        step: of the differences, in Å.
        force: the largest force that relaxation may leave, in eV/Å.
        folder: keeps Hessians between runs, by structure, engine and step.
        show: show a bar.
    """
    path = None
    if folder is not None:
        name = f"{structure.key}-{labeler.fingerprint.digest}-{step:g}-{force:g}.npz"
        path = Path(folder) / name
        if (found := _read(path, structure)) is not None:
            return found
    made = _settled(structure, labeler, step=step, force=force, show=show)
    if path is not None:
        _write(path, made)
    return made


def _settled(
    structure: Structure, labeler: Labeler, *, step: float, force: float, show: bool
) -> Curvature:
    """Relax and differentiate until no mode is imaginary, or tries are used up."""
    made = None
    for _ in range(TRIES):
        rest = relaxed(structure, labeler, force=force)
        energy, _ = Surface(rest, labeler)(rest.positions)
        made = Curvature(rest, energy, differences(rest, labeler, step=step, show=show), step)
        found = modes(made)
        if not len(found.quanta) or found.quanta[0] > -found.soft:
            break
        worst = found.displacements[0].reshape(-1, 3)
        push = DOWNHILL * worst / np.abs(worst).max()
        structure = rest.replace(positions=rest.positions + push)
    assert made is not None  # TRIES > 0
    return made


def differences(
    structure: Structure, labeler: Labeler, *, step: float = 0.005, show: bool = False
) -> Float64[np.ndarray, "coordinates coordinates"]:
    """Return the Hessian in eV/Å² by central differences of forces, made symmetric.

    Args:
        structure: the point.
        labeler: the engine.
        step: in Å.
        show: show a bar.
    """
    surface, start = Surface(structure, labeler), structure.positions.ravel()
    hessian = np.zeros((len(start), len(start)))
    with bar("Hessian", len(start), show=show) as advance:
        for i in range(len(start)):
            moved = np.zeros_like(start)
            moved[i] = step
            ahead = surface((start + moved).reshape(-1, 3))[1]
            behind = surface((start - moved).reshape(-1, 3))[1]
            hessian[i] = (behind - ahead).ravel() / (2 * step)
            advance()
    return 0.5 * (hessian + hessian.T)


def _write(path: Path, made: Curvature) -> None:
    rest = made.structure.positions
    with whole(path) as part, part.open("wb") as file:
        np.savez(file, energy=made.energy, step=made.step, hessian=made.hessian, positions=rest)


def _read(path: Path, structure: Structure) -> Curvature | None:
    try:
        kept = read_arrays(path)
        rest = structure.replace(positions=kept["positions"])
        return Curvature(rest, float(kept["energy"]), kept["hessian"], float(kept["step"]))
    except (FileNotFoundError, KeyError, ValueError):
        return None

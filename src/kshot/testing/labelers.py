"""The contract of an engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.labelers import Ledger, label_all
from kshot.labelers.examples import displaced, water
from kshot.labelers.logged import Logged, runs
from kshot.testing.expect import expect

FORCE_TOLERANCE = 1e-4  # eV/Å
ENERGY_TOLERANCE = 1e-4  # eV


def check_labeler(
    make: Callable[[], Labeler],
    reference: float | None = None,
    structure: Structure | None = None,
    *,
    tolerance: float = FORCE_TOLERANCE,
) -> None:
    """Check everything an engine promises.

    * Its fingerprint is the same each time it is made, and comes back from its stored form.
    * Its energy is the stored reference, in eV; its forces are minus central differences of its
      energy, in eV/Å; its labels carry its fingerprint.
    * Asked twice, it says the same.
    * A structure that cannot be computed is a failure, not an exception and not a number.
    * A label that the ledger has runs nothing.

    Args:
        make: returns the labeler.
        reference: energy of the structure in eV, from another source; None skips the comparison.
        structure: a small molecule; None: a bent water molecule without symmetry.
        tolerance: of the forces, in eV/Å.

    Raises:
        kshot.core.errors.ContractError: a promise is broken.
    """
    engine = make()
    structure = water() if structure is None else structure
    level = engine.fingerprint
    expect(level == make().fingerprint, "the same fingerprint each time", level, "Make it fixed.")
    expect(
        Fingerprint.parse(level.text) == level,
        "a fingerprint of plain JSON values",
        level.text,
        "Use text, numbers and truth values in its settings.",
    )
    labels = _good(engine, structure)
    if reference is not None:
        expect(
            abs(labels.energy - reference) < ENERGY_TOLERANCE,
            f"an energy of {reference} eV",
            labels.energy,
            "Multiply by kshot.core.units.HARTREE, or what fits.",
        )
    expect(labels.fingerprint == level, "labels with their fingerprint", labels, "Set it.")
    again = _good(engine, structure)
    same = abs(again.energy - labels.energy) < ENERGY_TOLERANCE * 0.1
    expect(same, "the same energy when asked again", again.energy, "Start from nothing each time.")
    _check_forces(engine, structure, labels, tolerance)
    _check_failures(engine, structure)
    _check_cache(engine, structure)


def _good(engine: Labeler, structure: Structure) -> Labels:
    labels = engine.label(structure)
    expect(isinstance(labels, Labels), "labels", labels, "Choose a structure that it can do.")
    assert isinstance(labels, Labels)
    return labels


def _check_forces(engine: Labeler, structure: Structure, labels: Labels, tolerance: float) -> None:
    energies = np.array([_good(engine, moved).energy for moved in displaced(structure)])
    moved = list(displaced(structure))
    step = np.abs(moved[0].positions - moved[1].positions).max()
    differences = -(energies[::2] - energies[1::2]).reshape(-1, 3) / step
    error = float(np.abs(differences - labels.forces).max())
    expect(
        error < tolerance,
        f"forces within {tolerance:g} eV/Å of minus central differences",
        f"off by {error:.2e}",
        "Check sign and units: forces are minus the gradient, in eV/Å.",
    )


def _check_failures(engine: Labeler, structure: Structure) -> None:
    collapsed = structure.positions.copy()
    collapsed[1] = collapsed[0] + 0.02
    broken = {
        "two atoms in one place": structure.replace(positions=collapsed),
        "positions that are not finite": structure.replace(positions=structure.positions * np.nan),
        "an impossible spin": structure.replace(multiplicity=structure.multiplicity + 1),
        "an absurd charge": structure.replace(charge=60),
        "element X": structure.replace(numbers=structure.numbers * 0),
    }
    for what, bad in broken.items():
        result = engine.label(bad)
        told = "call kshot.labelers.checks.why_refused first."
        expect(isinstance(result, Failure), f"a failure for {what}", result, f"Refuse it: {told}")


def _check_cache(engine: Labeler, structure: Structure) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "runs"
        logged = Logged(engine, log)
        with Ledger(Path(folder) / "ledger.db") as ledger:
            for _ in range(2):
                label_all([structure, structure], logged, ledger, progress=False)
        count = runs(log).begun[structure.key]
    expect(count == 1, "one run for a label asked four times", count, "Keep its key fixed.")

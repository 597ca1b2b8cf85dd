"""What is looked at before anything is spent: the structure, the labels, and whether they fit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np

from kshot.atoms import Labelled, Structure
from kshot.atoms.check import require_sound
from kshot.atoms.files import scan
from kshot.atoms.reading import Reading
from kshot.atoms.species import Tally
from kshot.atoms.spin import NOTHING_STATED, Stated
from kshot.core.errors import DataError, OptionError, TaskError, UnitError
from kshot.pipeline.label_units import check_units
from kshot.potentials.model import KINDS, Model

FEWEST = 2
UNITS = "units"  # what may be allowed of labels; all else is of structures


def read_input(
    path: Path, stated: Stated = NOTHING_STATED, say: Callable[[str], None] = lambda _: None
) -> tuple[list[Labelled], list[Structure]]:
    """Return the labelled frames of a file, and those without labels.

    Args:
        path: the file.
        stated: charge and spin of frames that do not state theirs.
        say: called with a line for each species: formula, charge, spin, and who states them.

    Raises:
        DataError: no frame at all, or one whose structure, charge or spin is wrong or missing.
    """
    tally = Tally()
    frames = list(tally.watch(scan(path, Reading(stated=stated))))
    for line in tally.lines():
        say(line)
    labelled, bare = [], []
    for frame in frames:
        structure = frame.require_structure()
        if frame.labels is None:
            bare.append(structure)
        else:
            labelled.append(Labelled(structure, frame.labels))
    if not frames:
        raise DataError("structures", f"none in {path}", "Give an extxyz, xyz or db file.")
    return labelled, bare


def check_structures(
    start: Model, structures: Sequence[Structure], allow: Collection[str] = ()
) -> None:
    """Raise unless structures are sound and the start has seen such elements, charges and spins.

    Levels of theory may be new: that is what adapting is for.

    Raises:
        OptionError: ``allow`` names what there is not.
        StructureError: a structure that no engine can compute.
        UnseenError: elements, charges or multiplicities that are not in ``allow``.
    """
    if unknown := sorted({*allow} - {*KINDS, UNITS}):
        expected = f"allow: any of {', '.join((*KINDS, UNITS))}"
        raise OptionError(expected, ", ".join(unknown), "Drop the rest, or spell it so.")
    for number, structure in enumerate(structures):
        require_sound(structure, where=f"structure {number}")
        start.refuse(structure, allow={"levels", *allow} - {UNITS})


def check_labels(
    start: Model, labelled: Sequence[Labelled], allow: Collection[str] = ()
) -> list[str]:
    """Raise unless labels can be adapted to; return what the user should know.

    Args:
        start: what is to be adapted.
        labelled: with their labels.
        allow: ``"levels"`` lets labels of several levels of theory through, ``"units"`` those that
            look to be in other units: a start may be that far off.

    Raises:
        TaskError: too few, or of several levels of theory.
        DataError: the same geometry twice with different labels, or numbers that are not finite.
        UnitError: energies are not in eV, forces not in eV/Å, or gradients.
    """
    if len(labelled) < FEWEST:
        todo = "Add labels, or give a structure and --budget."
        raise TaskError(f"{FEWEST} labels or more", str(len(labelled)), todo)
    levels = {one.labels.fingerprint.text for one in labelled if one.labels.fingerprint}
    if len(levels) > 1 and "levels" not in allow:
        got = f"{len(levels)} levels"
        raise TaskError(
            "labels of one level of theory", got, "Adapt to one of them, or --allow levels."
        )
    for number, one in enumerate(labelled):
        if not (np.isfinite(one.labels.energy) and np.isfinite(one.labels.forces).all()):
            todo = "Leave the frame out, or label it again."
            raise DataError("finite labels", f"frame {number} with others", todo)
    notes = _duplicates(labelled)
    if len(levels) > 1:
        notes.append(f"labels of {len(levels)} levels of theory count as one")
    return notes + _doubts_of_units(start, labelled, allow)


def _doubts_of_units(
    start: Model, labelled: Sequence[Labelled], allow: Collection[str]
) -> list[str]:
    try:
        return check_units(start, labelled)
    except UnitError as error:
        if UNITS in allow:
            return [f"let through: {error}"]
        todo = f"{error.todo} If they are right, and the start is that far off: --allow {UNITS}."
        raise UnitError(error.expected, error.got, todo) from None


def _duplicates(labelled: Sequence[Labelled]) -> list[str]:
    first: dict[str, int] = {}
    twice = 0
    for number, one in enumerate(labelled):
        before = first.setdefault(one.structure.key, number)
        if before == number:
            continue
        twice += 1
        if abs(labelled[before].labels.energy - one.labels.energy) > 1e-4:
            got = f"frames {before} and {number}: one geometry, two energies"
            raise DataError("each geometry with one energy", got, "Keep the right one.")
    return [f"{twice} frames repeat another: they add nothing"] if twice else []

"""ASE's atoms as frames: for those who hold their labelled structures in memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kshot.atoms.labels import Fingerprint
from kshot.atoms.reading import BARE, REF, Frame, Keys, RawLabels, Reading, Units, frame
from kshot.atoms.spin import CHARGE_KEYS, SPIN_KEYS, charge_and_spin
from kshot.atoms.structure import Structure
from kshot.core.errors import DataError

if TYPE_CHECKING:
    from ase import Atoms

PLAIN = (str, int, float, bool)
NO_INFO = {"family", "fingerprint", *REF, *BARE, *CHARGE_KEYS, *SPIN_KEYS}


def frame_of(atoms: Atoms, where: str, reading: Reading | None = None) -> Frame:
    """Return atoms of ASE as a frame, with what is wrong with it.

    Charge and spin are read from ``atoms.info`` by the names that files have for them. Labels are
    what a calculator has computed, or what stands in ``info`` and ``arrays`` under the keys stated,
    else under ``REF_energy`` and ``REF_forces`` or ``energy`` and ``forces``; where both kinds are
    there, neither is guessed. Nothing is computed.

    Args:
        atoms: one structure.
        where: what to call it in messages.
        reading: keys, units and what is stated of charge and spin; see `Reading`.
    """
    reading = reading or Reading()
    units = reading.units(Units())
    info = {key: _plain(value) for key, value in atoms.info.items()}
    numbers = np.array(atoms.numbers, np.int64)
    electrons = charge_and_spin(numbers, info, reading.spin_means, reading.stated)
    cell = np.array(atoms.cell, np.float64)
    structure = Structure(
        numbers,
        np.array(atoms.positions) * units.length_factor,
        electrons.charge,
        electrons.multiplicity,
        np.array(atoms.get_masses()) if atoms.has("masses") else None,
        cell * units.length_factor if cell.any() else None,
        np.array(atoms.pbc, bool),
        str(info.get("family", "")),
        {key: value for key, value in info.items() if key not in NO_INFO and type(value) in PLAIN},
    )
    labels, wrong = _labels(_results(atoms), info, reading.keys, units)
    return frame(where, structure, labels, electrons.problems, wrong, electrons.origins)


def _results(atoms: Atoms) -> dict[str, Any]:
    """Return all that may be a label, under its name: nothing is asked of a calculator."""
    computed: Mapping[str, Any] = getattr(atoms.calc, "results", {}) or {}
    present = {key: _plain(value) for key, value in atoms.info.items()}
    return {**present, **atoms.arrays, **{key: _plain(value) for key, value in computed.items()}}


def _labels(
    values: Mapping[str, Any], info: Mapping[str, Any], stated: Keys | None, units: Units
) -> tuple[RawLabels, list[str]]:
    present = [keys for keys in (REF, BARE) if keys.energy in values or keys.forces in values]
    if stated is None and not present:
        return RawLabels(None, units), [f"there are no labels: neither {REF} nor {BARE}"]
    if stated is None and len(present) == 2:
        return RawLabels(None, units), [f"both {REF} and {BARE} are there: state keys= to choose"]
    keys = stated or present[0]
    energy, forces = values.get(keys.energy), values.get(keys.forces)
    stress = values.get(keys.stress)
    return RawLabels(
        keys,
        units,
        None if energy is None else float(energy),
        None if forces is None else np.array(forces, np.float64),
        None if stress is None else np.array(stress, np.float64),
        _fingerprint(info.get("fingerprint")),
    ), []


def _fingerprint(text: object) -> Fingerprint | None:
    if text is None:
        return None
    try:
        return Fingerprint.parse(str(text))
    except (ValueError, TypeError) as error:
        todo = "Leave it out of atoms.info, or take it from a file that kshot has written."
        raise DataError("a fingerprint of kshot in atoms.info", f"{error}", todo) from error


def _plain(value: object) -> Any:  # noqa: ANN401 - whatever a user keeps there
    return value.item() if isinstance(value, np.generic) else value

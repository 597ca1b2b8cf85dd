"""What every reader of labelled data is told, and what it gives: one frame at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from kshot.atoms.check import check_structure
from kshot.atoms.labels import Fingerprint, Labelled, Labels
from kshot.atoms.spin import IN_FILE, NOTHING_STATED, Origins, SpinMeaning, Stated
from kshot.atoms.structure import Structure
from kshot.core.errors import DataError, OptionError
from kshot.core.units import BOHR, HARTREE, KCAL_PER_MOL, KJ_PER_MOL, MEV, RYDBERG


class Keys(NamedTuple):
    """The names under which a file keeps its labels."""

    energy: str
    forces: str
    stress: str = "stress"

    def __str__(self) -> str:
        """Return the names of energy and forces, for people."""
        return f"{self.energy}, {self.forces}"


REF = Keys("REF_energy", "REF_forces", "REF_stress")
"""The field's keys for labels: what kshot writes."""
BARE = Keys("energy", "forces", "stress")
"""What ASE writes of a calculator: they may be labels, or some model's predictions."""
FROM_VOIGT = [0, 5, 4, 5, 1, 3, 4, 3, 2]  # places of xx yy zz yz xz xy in a matrix

ENERGIES = {
    "eV": 1.0,
    "meV": MEV,
    "Hartree": HARTREE,
    "Ha": HARTREE,
    "Ry": RYDBERG,
    "kcal/mol": KCAL_PER_MOL,
    "kJ/mol": KJ_PER_MOL,
}
LENGTHS = {"Å": 1.0, "Angstrom": 1.0, "Ang": 1.0, "A": 1.0, "Bohr": BOHR, "nm": 10.0}


@dataclass(frozen=True)
class Units:
    """The units of a file; inside kshot they are always eV and Å.

    Args:
        energy: ``eV``, ``meV``, ``Hartree``, ``Ry``, ``kcal/mol`` or ``kJ/mol``.
        force: an energy over a length, such as ``kcal/mol/Å`` or ``Hartree/Bohr``. With a minus in
            front the file holds gradients, not forces: ``-Hartree/Bohr``.
        length: ``Å``, ``Bohr`` or ``nm``.
    """

    energy: str = "eV"
    force: str = "eV/Å"
    length: str = "Å"

    def __post_init__(self) -> None:
        """Refuse a unit nobody knows."""
        _ = self.energy_factor, self.force_factor, self.length_factor

    @property
    def energy_factor(self) -> float:
        """What an energy is multiplied by, to eV."""
        return _factor(self.energy, ENERGIES, "an energy unit")

    @property
    def length_factor(self) -> float:
        """What a length is multiplied by, to Å."""
        return _factor(self.length, LENGTHS, "a length unit")

    @property
    def force_factor(self) -> float:
        """What a force is multiplied by, to eV/Å; negative for gradients."""
        energy, _, length = self.force.removeprefix("-").rpartition("/")
        what = "a force unit such as eV/Å or -Hartree/Bohr"
        if not energy:
            raise OptionError(what, repr(self.force), f"Known energies: {', '.join(ENERGIES)}.")
        factor = _factor(energy, ENERGIES, what) / _factor(length, LENGTHS, what)
        return -factor if self.force.startswith("-") else factor


def _factor(name: str, table: dict[str, float], what: str) -> float:
    folded = {known.lower(): value for known, value in table.items()}
    if name.lower() not in folded:
        raise OptionError(what, repr(name), f"Known: {', '.join(table)}.")
    return folded[name.lower()]


@dataclass(frozen=True)
class Reading:
    """How to read a file, where its format leaves a choice.

    Args:
        keys: where the labels are; None takes the one kind that is there, and refuses two.
        energy_unit: see `Units`; None is what the format prescribes, which is eV for extxyz.
        force_unit: likewise, eV/Å; with a minus in front the file holds gradients.
        length_unit: likewise, Å.
        spin_means: what ``spin`` and ``total_spin`` hold: the ``multiplicity`` 2S + 1, or how many
            electrons are ``unpaired``. None is the multiplicity, and refuses where only the other
            reading fits the number of electrons.
        stated: charge and spin of the frames that do not state theirs; a frame that states another
            one has a problem.
    """

    keys: Keys | None = None
    energy_unit: str | None = None
    force_unit: str | None = None
    length_unit: str | None = None
    spin_means: SpinMeaning | None = None
    stated: Stated = NOTHING_STATED

    def units(self, prescribed: Units) -> Units:
        """Return the units stated, completed by those of the format."""
        return Units(
            self.energy_unit or prescribed.energy,
            self.force_unit or prescribed.force,
            self.length_unit or prescribed.length,
        )


@dataclass(frozen=True)
class Frame:
    """One frame as found in a file, with all that is wrong with it.

    Args:
        where: file and frame, for messages.
        structure: None if it cannot be read.
        labels: None if there are none, or none that can be read.
        keys: which labels were read.
        problems: of file and structure: reasons not to use the structure.
        label_problems: reasons not to use its labels.
        origins: who states charge and spin.
    """

    where: str
    structure: Structure | None = None
    labels: Labels | None = None
    keys: Keys | None = None
    problems: tuple[str, ...] = ()
    label_problems: tuple[str, ...] = ()
    origins: Origins = IN_FILE

    def require_structure(self) -> Structure:
        """Return the structure, or raise DataError with what is wrong with it."""
        if self.structure is None or self.problems:
            raise self._error("a structure that can be used", self.problems)
        return self.structure

    def require_labelled(self) -> Labelled:
        """Return structure and labels, or raise DataError with what is wrong with them."""
        structure = self.require_structure()
        if self.labels is None or self.label_problems:
            raise self._error("energy and forces that can be used", self.label_problems)
        return Labelled(structure, self.labels)

    def _error(self, expected: str, problems: Sequence[str]) -> DataError:
        return DataError(
            expected,
            f"{self.where}: {'; '.join(problems)}",
            "`kshot data check` lists every such frame.",
        )


def frame(
    where: str,
    structure: Structure,
    raw: RawLabels,
    problems: Sequence[str] = (),
    label_problems: Sequence[str] = (),
    origins: Origins = IN_FILE,
) -> Frame:
    """Return the frame of what a reader has found, checked.

    Args:
        where: file and frame.
        structure: already in Å.
        raw: the labels as they stand in the file.
        problems: of the structure, known already; the checks come on top.
        label_problems: of the labels, likewise.
        origins: who states charge and spin.
    """
    labels, wrong = _labels(raw, len(structure))
    return Frame(
        where,
        structure,
        labels,
        raw.keys,
        (*problems, *(() if problems else check_structure(structure))),
        (*label_problems, *(() if label_problems else wrong)),
        origins,
    )


class RawLabels(NamedTuple):
    """Labels as a file has them, None where it has none; a stress in nine or Voigt's six."""

    keys: Keys | None
    units: Units
    energy: float | None = None
    forces: np.ndarray | None = None
    stress: np.ndarray | None = None
    fingerprint: Fingerprint | None = None


def _labels(raw: RawLabels, atoms: int) -> tuple[Labels | None, list[str]]:
    """Return the labels in eV and Å, or what is wrong with them."""
    energy_key, forces_key, stress_key = raw.keys or REF
    forces = raw.forces
    if raw.energy is None:
        return None, [f"there is no energy under the key {energy_key!r}"]
    if forces is None and atoms == 1:
        forces = np.zeros((1, 3))  # a lone atom feels none
    if forces is None:
        return None, [f"there are no forces under the key {forces_key!r}"]
    if forces.shape != (atoms, 3):
        return None, [f"{forces_key!r} has shape {forces.shape} for {atoms} atoms"]
    if not np.isfinite(raw.energy):
        return None, [f"{energy_key!r} is {raw.energy}"]
    if not np.isfinite(forces).all():
        bad = int(np.flatnonzero(~np.isfinite(forces).all(1))[0])
        return None, [f"{forces_key!r} of atom {bad} is not finite"]
    units = raw.units
    stress = raw.stress
    if stress is not None:
        if stress.size not in (6, 9):
            return None, [f"{stress_key!r} has {stress.size} numbers instead of 9"]
        if stress.size == 6:
            stress = stress.ravel()[FROM_VOIGT]
        stress = stress.reshape(3, 3) * (units.energy_factor / units.length_factor**3)
    energy = float(raw.energy) * units.energy_factor
    return Labels(energy, forces * units.force_factor, stress, raw.fingerprint), []

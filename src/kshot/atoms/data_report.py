"""May these labels be used? Everything that `kshot data check` looks at, as a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float64

from kshot.atoms.descriptors import TOLERANCE, near_duplicates
from kshot.atoms.e0s import E0s, e0s_from_atoms
from kshot.atoms.elements import symbol
from kshot.atoms.labels import Labeler, Labelled
from kshot.atoms.reading import Frame
from kshot.atoms.unit_traps import Diagnosis, diagnose_units
from kshot.core.errors import DataError

Kind = Literal["structure", "labels", "units", "levels", "E0s", "duplicates", "outliers"]
REMEDIES: dict[str, str] = {
    "structure": "correct these frames, or leave them out",
    "labels": "state where the labels are (--keys), or leave these frames out",
    "units": "state the units (--energy-unit, --force-unit, --length-unit), and convert",
    "levels": "split the file by level of theory",
    "E0s": "give E0s of the labels' own level (--e0s), or remove the lone atoms",
    "duplicates": "keep the right one of each",
    "outliers": "look at these frames",
}
BINDING = (-15.0, 3.0)
"""eV per atom: what an energy less its E0s can be; N₂ is at -5, diamond at -8."""
STRONG_FORCE = 50.0
"""eV/Å: above it a geometry is hardly one that is met."""
ABOVE = 1.0
"""eV per atom above or below the median of its composition: an outlier if it is also far out."""
FAR_OUT = 8.0  # median absolute deviations
CONFLICT = 1e-3  # eV between two labels of one structure
MOST_COMPARED = 3000  # frames searched for near-duplicates


class Finding(NamedTuple):
    """One thing wrong, or to be looked at.

    Args:
        kind: what was looked at.
        refuse: whether the data must not be used as they are.
        where: file and frame.
        words: what is wrong, and what to do.
    """

    kind: Kind
    refuse: bool
    where: str
    words: str


@dataclass(frozen=True)
class DataReport:
    """What a file of labelled data holds, and what is wrong with it.

    Args:
        path: the file.
        keys: where its labels stand.
        wheres: file and frame of each usable frame.
        frames: the usable ones.
        findings: those that refuse first.
        units: the tests of units and signs.
        e0s: from lone atoms in the file or as given; None without.
    """

    path: Path
    keys: str
    wheres: tuple[str, ...]
    frames: tuple[Labelled, ...]
    findings: tuple[Finding, ...]
    units: tuple[Diagnosis, ...]
    e0s: E0s | None

    @property
    def refused(self) -> bool:
        """Whether the data must not be used as they are."""
        return any(finding.refuse for finding in self.findings)

    def remedies(self) -> list[str]:
        """Return what to do about what is refused."""
        kinds = dict.fromkeys(finding.kind for finding in self.findings if finding.refuse)
        return [REMEDIES[kind] for kind in kinds]

    def energies_per_atom(self) -> Float64[np.ndarray, " frames"]:
        """Return energies less E0s, or less the median of their composition, in eV per atom."""
        return _per_atom(self.frames, self.e0s)

    def summary(self) -> dict[str, Any]:
        """Return the figures of a table: plain JSON values, by name."""
        structures = [one.structure for one in self.frames]
        if not structures:
            return {"usable frames": 0, "labels read from": self.keys}
        forces = np.concatenate([np.linalg.norm(one.labels.forces, axis=1) for one in self.frames])
        elements = sorted({int(z) for one in structures for z in one.numbers})
        sizes = [len(one) for one in structures]
        states = Counter((one.charge, one.multiplicity) for one in structures)
        energies = self.energies_per_atom()
        levels = {str(one.labels.fingerprint or "not stated") for one in self.frames}
        return {
            "usable frames": len(structures),
            "labels read from": self.keys,
            "level of theory": ", ".join(sorted(levels)),
            "compositions": len({np.sort(one.numbers).tobytes() for one in structures}),
            "families": len({one.family for one in structures if one.family}),
            "elements": " ".join(map(symbol, elements)),
            "atoms": f"{min(sizes)} to {max(sizes)}",
            "charge, multiplicity": ", ".join(
                f"{c:+d}, {m}: {n}" for (c, m), n in sorted(states.items())
            ),
            "E0s": "none" if self.e0s is None else f"{self.e0s.source}: {_named(self.e0s)}",
            "energy less E0s" if self.e0s else "energy about its composition's median": (
                f"{energies.min():.4f} to {energies.max():.4f} eV/atom"
            ),
            "force, root mean square": f"{np.sqrt(np.mean(forces**2)):.4f} eV/Å",
            "force, largest": f"{forces.max():.4f} eV/Å",
        }


def report(
    path: Path,
    frames: Iterable[Frame],
    reference: Labeler | None = None,
    e0s: E0s | None = None,
    tolerance: float = TOLERANCE,
) -> DataReport:
    """Look at every frame, and return what is found.

    Args:
        path: the file, for messages.
        frames: as `kshot.atoms.files.scan` yields them.
        reference: an engine whose forces those of six frames are compared with.
        e0s: known ones; None takes those of lone atoms in the file.
        tolerance: in Å, of near-duplicates.
    """
    findings: list[Finding] = []
    wheres, usable, keys = [], [], set()
    for frame in _until_broken(path, frames, findings):
        findings += _of_frame(frame)
        if frame.keys is not None:
            keys.add(str(frame.keys))
        if frame.structure and frame.labels and not (frame.problems or frame.label_problems):
            wheres.append(frame.where)
            usable.append(Labelled(frame.structure, frame.labels))
    if not usable:
        words = "no frame has a sound structure with energy and forces"
        findings.append(Finding("labels", True, str(path), words))
    units = diagnose_units(usable, reference) if usable else []
    findings += _of_units(units, str(path))
    findings += _levels(usable, str(path))
    known, wrong = _e0s(usable, e0s, str(path))
    findings += wrong
    findings += _duplicates(usable, wheres, tolerance)
    findings += _outliers(usable, wheres, known)
    findings.sort(key=lambda finding: not finding.refuse)
    return DataReport(
        path, "; ".join(sorted(keys)) or "nowhere", tuple(wheres), tuple(usable),
        tuple(findings), tuple(units), known,
    )  # fmt: skip


def _until_broken(path: Path, frames: Iterable[Frame], findings: list[Finding]) -> Iterator[Frame]:
    """Yield frames; a file that breaks off becomes a finding."""
    try:
        yield from frames
    except DataError as error:
        findings.append(Finding("structure", True, str(path), str(error)))


def _of_frame(frame: Frame) -> list[Finding]:
    found = [Finding("structure", True, frame.where, words) for words in frame.problems]
    if frame.structure is not None and not frame.problems:
        found += [Finding("labels", True, frame.where, words) for words in frame.label_problems]
    return found


def _of_units(units: Sequence[Diagnosis], where: str) -> list[Finding]:
    found = [
        Finding("units", one.verdict == "wrong", where, f"test of {one.test}: {one.words}")
        for one in units
        if one.verdict != "well"
    ]
    # What one test leaves open another may settle: forces and energies are told by two each.
    settled = {one.test for one in units if one.verdict == "well"}
    enough = "work" in settled and settled & {"forces", "bonds"}
    return [finding for finding in found if finding.refuse or not enough]


def _levels(frames: Sequence[Labelled], where: str) -> list[Finding]:
    levels = Counter(str(one.labels.fingerprint or "not stated") for one in frames)
    digests = {one.labels.fingerprint.digest if one.labels.fingerprint else "" for one in frames}
    if len(digests) < 2:
        return []
    words = ", ".join(f"{level}: {count}" for level, count in levels.items())
    return [Finding("levels", True, where, f"labels of several levels of theory ({words}): split")]


def _e0s(
    frames: Sequence[Labelled], given: E0s | None, where: str
) -> tuple[E0s | None, list[Finding]]:
    """The E0s to use, and whether they fit the energies."""
    known = given
    if known is None:
        try:
            known = e0s_from_atoms(frames)
        except DataError as error:
            if any(len(one.structure) == 1 and not one.structure.charge for one in frames):
                return None, [Finding("E0s", True, where, str(error))]
            words = "there are no lone atoms: E0s must come from elsewhere"
            return None, [Finding("E0s", False, where, words)] if frames else []
    present = {int(z) for one in frames for z in one.structure.numbers}
    missing = sorted(present - set(known.energies))
    if missing:
        words = f"there is no E0 of {', '.join(map(symbol, missing))}"
        return None, [Finding("E0s", given is not None, where, words)]
    molecules = [one for one in frames if len(one.structure) > 1]
    if molecules:
        binding = float(np.median(_per_atom(molecules, known)))
        if not BINDING[0] < binding < BINDING[1]:
            words = f"energies less E0s are {binding:.2f} eV/atom, which no binding is: "
            words += "E0s and labels are of different levels of theory or units"
            return known, [Finding("E0s", True, where, words)]
    return known, []


def _duplicates(
    frames: Sequence[Labelled], wheres: Sequence[str], tolerance: float
) -> list[Finding]:
    first: dict[str, int] = {}
    found = []
    for i, one in enumerate(frames):
        j = first.setdefault(one.structure.key, i)
        gap = abs(one.labels.energy - frames[j].labels.energy)
        if j != i:
            words = f"the same structure as {_frame(wheres[j])}"
            words += f", with an energy {gap:.4g} eV away" if gap > CONFLICT else ""
            found.append(Finding("duplicates", gap > CONFLICT, wheres[i], words))
    originals = sorted(first.values())[:MOST_COMPARED]
    for a, b in near_duplicates([frames[i].structure for i in originals], tolerance):
        i, j = originals[a], originals[b]
        if len(frames[i].structure) > 1:
            words = f"within {tolerance:g} Å of {_frame(wheres[i])}"
            found.append(Finding("duplicates", False, wheres[j], words))
    return found


def _outliers(frames: Sequence[Labelled], wheres: Sequence[str], e0s: E0s | None) -> list[Finding]:
    found = []
    energies = _per_atom(frames, e0s)
    for group in _compositions(frames):
        centre = np.median(energies[group])
        spread = np.median(np.abs(energies[group] - centre))
        for i in group:
            off = float(energies[i] - centre)
            if len(group) > 4 and abs(off) > max(ABOVE, FAR_OUT * spread):
                words = f"its energy is {off:+.2f} eV/atom off the median of its composition"
                found.append(Finding("outliers", False, wheres[i], words))
    for one, where in zip(frames, wheres, strict=True):
        largest = float(np.linalg.norm(one.labels.forces, axis=1).max())
        if largest > STRONG_FORCE:
            words = f"its largest force is {largest:.1f} eV/Å"
            found.append(Finding("outliers", False, where, words))
    return found


def _per_atom(frames: Sequence[Labelled], e0s: E0s | None) -> Float64[np.ndarray, " frames"]:
    energies = np.array([one.labels.energy for one in frames], np.float64)
    sizes = np.array([len(one.structure) for one in frames], np.float64)
    if e0s is not None:
        return (energies - e0s.sums([one.structure for one in frames])) / sizes
    for group in _compositions(frames):
        energies[group] -= np.median(energies[group])
    return energies / sizes


def _compositions(frames: Sequence[Labelled]) -> list[list[int]]:
    groups: dict[tuple[bytes, int], list[int]] = {}
    for i, one in enumerate(frames):
        key = np.sort(one.structure.numbers).tobytes(), one.structure.charge
        groups.setdefault(key, []).append(i)
    return list(groups.values())


def _named(e0s: E0s) -> str:
    return ", ".join(f"{symbol(z)} {energy:.3f} eV" for z, energy in sorted(e0s.energies.items()))


def _frame(where: str) -> str:
    """`a.xyz, frame 3` → `frame 3`."""
    return where.rpartition(", ")[2]

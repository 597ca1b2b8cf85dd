"""E0s: the energies of lone atoms, whose sum a model does not have to learn.

Total energies are thousands of eV and their differences meV, so the sums are taken off in float64,
on the host, before a float32 model sees anything. E0s come from the same engine's lone atoms, from
a dictionary, or from a ridge regression that moves a prior as little as the data ask for. Never
from least squares on total energies: with one composition it may put everything on one element.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float64

from kshot.atoms.elements import atomic_numbers, elements, symbol
from kshot.atoms.labels import Failure, Labeler, Labelled
from kshot.atoms.structure import Structure
from kshot.core.errors import DataError

Source = Literal["isolated atoms", "dictionary", "ridge"]
SAME = 1e-3
"""eV: two energies of one lone atom that differ by more are of two levels of theory."""


@dataclass(frozen=True)
class E0s:
    """Energy of each element's lone atom.

    Args:
        energies: in eV, by atomic number.
        source: where they come from.
        widths: in eV, what the regression leaves open; empty for the other sources. As wide as the
            prior means that the data say nothing of this element.
    """

    energies: Mapping[int, float]
    source: Source
    widths: Mapping[int, float] = field(default_factory=dict)

    def sum(self, structure: Structure) -> float:
        """Return the sum over a structure's atoms, in eV.

        Raises:
            DataError: an element has no E0.
        """
        return float(self.sums([structure])[0])

    def sums(self, structures: Sequence[Structure]) -> Float64[np.ndarray, " structures"]:
        """Return the sum over the atoms of each structure, in eV.

        Raises:
            DataError: an element has no E0.
        """
        table = np.full(len(elements().radii), np.nan)
        table[list(self.energies)] = list(self.energies.values())
        sums = np.array([table[one.numbers].sum() for one in structures], np.float64)
        if np.isnan(sums).any():
            present = {int(z) for one in structures for z in one.numbers}
            missing = ", ".join(symbol(z) for z in sorted(present - set(self.energies)))
            raise DataError("an E0 of every element", f"none of {missing}", "Add it: see `E0s`.")
        return sums

    def to_json(self) -> str:
        """Return one line of JSON, by symbols, in eV."""
        named = {
            name: {symbol(z): float(e) for z, e in sorted(values.items())}
            for name, values in (("energies", self.energies), ("widths", self.widths))
        }
        return json.dumps({"unit": "eV", "source": self.source, **named})

    @classmethod
    def from_json(cls, text: str) -> E0s:
        """Return what `to_json` wrote.

        Raises:
            DataError: it is not that.
        """
        try:
            read = json.loads(text)
            if read["unit"] != "eV" or read["source"] not in Source.__args__:
                raise ValueError(f"unit {read['unit']!r}, source {read['source']!r}")
            energies, widths = _by_number(read["energies"]), _by_number(read["widths"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError("E0s as JSON", f"{text[:60]!r} ({error})", "Write it anew.") from error
        return cls(energies, read["source"], widths)


def e0s_from_dictionary(energies: Mapping[str, float] | Mapping[int, float]) -> E0s:
    """Return E0s from a dictionary, by symbol or atomic number, in eV.

    Raises:
        DataError: a key is no element, or an energy is not finite.
    """
    try:
        return E0s(_by_number(energies), "dictionary")
    except (ValueError, TypeError) as error:
        raise DataError("energies in eV by element", str(error), 'As {"H": -13.6}.') from error


def e0s_from_atoms(frames: Iterable[Labelled]) -> E0s:
    """Return E0s from the neutral lone atoms among labelled frames.

    Of several spin states of one atom the lowest counts.

    Raises:
        DataError: there is no lone atom, or one has two energies, or they are of several levels of
            theory.
    """
    found: dict[tuple[int, int], float] = {}
    levels = set()
    for structure, labels in frames:
        if len(structure) != 1 or structure.charge:
            continue
        levels.add(labels.fingerprint)
        key = int(structure.numbers[0]), structure.multiplicity
        before = found.setdefault(key, labels.energy)
        if abs(before - labels.energy) > SAME:
            got = f"{before} and {labels.energy} eV for {symbol(key[0])}"
            raise DataError("one energy of each lone atom", got, "Keep one level of theory.")
    if len({level.digest if level else "" for level in levels}) > 1:
        got = " and ".join(sorted(map(str, levels)))
        raise DataError("lone atoms of one level of theory", got, "Keep one of them.")
    if not found:
        todo = "Label them (`e0s_from_labeler`), give a dictionary, or fit with a prior."
        raise DataError("lone atoms (config_type=IsolatedAtom)", "none", todo)
    energies: dict[int, float] = {}
    for (number, _), energy in found.items():
        energies[number] = min(energy, energies.get(number, np.inf))
    return E0s(energies, "isolated atoms")


def e0s_from_labeler(labeler: Labeler, numbers: Iterable[int]) -> E0s:
    """Return E0s that an engine computes: each neutral atom in its ground state of spin.

    Raises:
        DataError: the engine fails on one of them.
    """
    energies = {}
    for number in sorted(set(numbers)):
        spin = elements().multiplicities[number]
        labels = labeler.label(Structure(np.array([number]), np.zeros((1, 3)), 0, spin))
        if isinstance(labels, Failure):
            got = f"{labels.reason} for {symbol(number)}: {labels.detail}"
            raise DataError("an energy of each lone atom", got, "Give a dictionary instead.")
        energies[number] = labels.energy
    return E0s(energies, "isolated atoms")


def fit_e0s(frames: Sequence[Labelled], prior: E0s, width: float = 1.0, noise: float = 0.05) -> E0s:
    """Return the prior, moved by a ridge regression on what it leaves of the energies.

    E = Σ E0 + rest: with E0 normally distributed around the prior and the rest around zero. Where
    the data do not determine an element (one composition determines one number), it stays near the
    prior, and what must be shared is shared in proportion to the counts.

    Args:
        frames: labelled; lone atoms count like any other.
        prior: E0s of the elements, such as another level of theory's.
        width: in eV, how far from the prior an E0 may be.
        noise: in eV per atom, how much of an energy is no E0's: bonds and temperature.

    Raises:
        DataError: there are no frames, or the prior lacks an element.
    """
    if not frames:
        raise DataError("labelled frames", "none", "Keep the prior as it is.")
    structures = [one.structure for one in frames]
    residuals = np.array([one.labels.energy for one in frames]) - prior.sums(structures)
    present = sorted({int(z) for one in structures for z in one.numbers})
    counts = np.array([[(one.numbers == z).sum() for z in present] for one in structures], float)
    scale = noise * counts.sum(1)
    rows, right = counts / scale[:, None], residuals / scale
    covariance = np.linalg.inv(rows.T @ rows + np.eye(len(present)) / width**2)
    moves = covariance @ (rows.T @ right)
    energies = dict(prior.energies)
    for z, move in zip(present, moves, strict=True):
        energies[z] += float(move)
    widths = dict.fromkeys(prior.energies, float(width))
    widths |= {z: float(np.sqrt(covariance[i, i])) for i, z in enumerate(present)}
    return E0s(energies, "ridge", widths)


def _by_number(energies: Mapping[str, float] | Mapping[int, float]) -> dict[int, float]:
    known, found = atomic_numbers(), {}
    for key, energy in energies.items():
        number = key if isinstance(key, int) else known.get(key, 0)
        if not 1 <= number < len(elements().radii) or not np.isfinite(energy):
            raise ValueError(f"{key!r}: {energy!r}")
        found[number] = float(energy)
    return found

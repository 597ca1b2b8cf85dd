"""Isotopes: which nucleus an atom has changes its mass, and with it what is met, but no energy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float64

from kshot.atoms import Structure
from kshot.core.errors import InputError

SAME = 5e-3  # u: masses nearer than this to the natural one are the natural mixture's


def masses_of(structure: Structure) -> Float64[np.ndarray, " atoms"]:
    """Return the masses in u: the structure's own, or the elements' natural ones."""
    if structure.masses is not None:
        return np.array(structure.masses)
    from ase.data import atomic_masses

    return np.array(atomic_masses[structure.numbers], np.float64)


def with_isotopes(
    structure: Structure, isotopes: Mapping[str, str], atoms: Iterable[int] | None = None
) -> Structure:
    """Return the structure with other nuclei in place of the natural mixture.

    Args:
        structure: it may carry isotopes already; those of other atoms stay.
        isotopes: element → isotope, such as ``{"H": "D", "C": "13C"}``.
        atoms: replace only these, counted from zero; all of the element if None.

    Raises:
        InputError: an isotope nobody knows or of another element, an element that is not there.
    """
    from ase.data import atomic_numbers

    masses = masses_of(structure)
    chosen = np.zeros(len(structure), bool)
    chosen[slice(None) if atoms is None else list(atoms)] = True
    for element, isotope in isotopes.items():
        symbol, mass = _isotope(isotope)
        if symbol != element:
            todo = "Write such as {'H': 'D'} or {'C': '13C'}."
            raise InputError(f"an isotope of {element}", f"{isotope!r}", todo)
        these = chosen & (structure.numbers == atomic_numbers[symbol])
        if not these.any():
            todo = "Leave it out, or choose other atoms."
            raise InputError(f"{element} among the chosen atoms", "none", todo)
        masses[these] = mass
    return structure.replace(masses=masses)


def isotopes_of(structure: Structure) -> str:
    """Return which atoms are no natural mixture, such as ``2H:1,2 13C:0``; empty if none.

    Atoms are counted from zero. A mass that no nuclide has is written in u, such as ``3.5u:1``.
    """
    from ase.data import atomic_masses, chemical_symbols

    found: dict[str, list[str]] = {}
    masses = masses_of(structure)
    for i, (number, mass) in enumerate(zip(structure.numbers, masses, strict=True)):
        if abs(mass - atomic_masses[number]) > SAME:
            name = f"{round(mass)}{chemical_symbols[number]}"
            known = abs(mass - round(mass)) < 0.1
            found.setdefault(name if known else f"{mass:g}u", []).append(str(i))
    return " ".join(f"{name}:{','.join(where)}" for name, where in found.items())


def _isotope(name: str) -> tuple[str, float]:
    """``D``, ``2H``, ``13C`` → element and mass in u."""
    from rdkit import Chem

    match = re.fullmatch(r"(\d+)([A-Z][a-z]?)", {"D": "2H", "T": "3H"}.get(name, name))
    table = Chem.GetPeriodicTable()
    mass = 0.0
    if match and table.GetMaxAtomicNumber() > 0 and _is_element(match[2]):
        mass = table.GetMassForIsotope(match[2], int(match[1]))
    if not match or not mass:
        raise InputError("an isotope such as 'D', '2H' or '13C'", f"{name!r}", "Check its name.")
    return match[2], float(mass)


def _is_element(symbol: str) -> bool:
    from ase.data import atomic_numbers

    return symbol in atomic_numbers

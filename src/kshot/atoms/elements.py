"""What is known of the elements without any calculation: symbols, sizes, masses, lone atoms."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

HEAVIEST = 118


class Elements(NamedTuple):
    """Tables indexed by atomic number; entry 0 stands for no element.

    Args:
        radii: covalent radii in Å; NaN where nobody knows.
        masses: natural masses in u.
        multiplicities: 2S + 1 of the lone neutral atom in its ground state.
    """

    radii: Float64[np.ndarray, " 119"]
    masses: Float64[np.ndarray, " 119"]
    multiplicities: tuple[int, ...]


@cache
def elements() -> Elements:
    """Return the tables; ASE, which holds them, is imported at the first call."""
    from ase.data import atomic_masses, covalent_radii, ground_state_magnetic_moments

    radii = np.full(HEAVIEST + 1, np.nan)
    known = min(len(covalent_radii), HEAVIEST + 1)
    radii[1:known] = covalent_radii[1:known]
    radii[radii == covalent_radii[0]] = np.nan  # ASE writes 0.2 Å for an unknown radius
    # The lowest that fits, where the table has nothing or (cerium) what no such atom can have.
    moments = np.arange(HEAVIEST + 1) % 2.0
    known = ground_state_magnetic_moments[: HEAVIEST + 1]
    fits = known % 2 == moments[: len(known)]
    moments[: len(known)][fits] = known[fits]
    return Elements(
        radii,
        np.array(atomic_masses[: HEAVIEST + 1], np.float64),
        tuple(int(moment) + 1 for moment in moments),
    )


@cache
def atomic_numbers() -> dict[str, int]:
    """Return the atomic number of every symbol."""
    from ase.data import chemical_symbols

    return {symbol: z for z, symbol in enumerate(chemical_symbols) if z}


def symbol(number: int) -> str:
    """Return the symbol of an element, or ``Z=…`` where there is none."""
    from ase.data import chemical_symbols

    return chemical_symbols[number] if 1 <= number <= HEAVIEST else f"Z={number}"

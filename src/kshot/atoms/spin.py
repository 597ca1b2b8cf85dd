"""Charge and spin as files write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int64

from kshot.atoms.elements import elements
from kshot.atoms.reading import SpinMeaning

CHARGE_KEYS = ("charge", "total_charge")
SPIN_KEYS = ("spin", "total_spin")


def charge_and_multiplicity(
    numbers: Int64[np.ndarray, " atoms"],
    values: Mapping[str, Any],
    meaning: SpinMeaning | None = None,
) -> tuple[int, int, list[str]]:
    """Return charge, multiplicity 2S + 1, and what is wrong with what is written.

    Args:
        numbers: atomic numbers.
        values: of the frame, among them those of `CHARGE_KEYS` and `SPIN_KEYS`.
        meaning: of spin; see `kshot.atoms.reading.Reading`.
    """
    charge, problems = _integer(values, CHARGE_KEYS)
    spin, more = _integer(values, SPIN_KEYS)
    problems += more
    electrons = int(numbers.sum()) - (charge or 0)

    def fits(multiplicity: int) -> bool:
        return multiplicity >= 1 and (electrons - multiplicity) % 2 == 1

    if spin is None:
        multiplicity, more = _unstated(numbers, electrons, fits)
        problems += [] if problems else more
    elif meaning == "unpaired":
        multiplicity = spin + 1
    else:
        multiplicity = spin
        if meaning is None and not fits(spin) and fits(spin + 1):
            problems.append(
                f"spin = {spin} cannot be the multiplicity 2S + 1 of {electrons} electrons, but "
                f"can be their number of unpaired ones: if it is, state spin='unpaired'"
            )
    return charge or 0, multiplicity, problems


def _unstated(
    numbers: Int64[np.ndarray, " atoms"], electrons: int, fits: Callable[[int], bool]
) -> tuple[int, list[str]]:
    if len(numbers) == 1 and 1 <= numbers[0] < len(elements().multiplicities):
        ground = elements().multiplicities[int(numbers[0])]
        return (ground if fits(ground) else 1 + electrons % 2), []
    if electrons % 2:
        what = f"{electrons} electrons are an odd number and no spin is given"
        return 2, [f"{what}: write the charge as total_charge, and 2S + 1 as total_spin"]
    return 1, []


def _integer(values: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[int | None, list[str]]:
    """The one integer under several keys."""
    found = {key: values[key] for key in keys if key in values}
    if len(set(found.values())) > 1:
        return None, [" and ".join(f"{key} = {value}" for key, value in found.items()) + " differ"]
    for key, value in found.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not float(value).is_integer():
            return None, [f"{key} = {value!r} is not a whole number"]
        return int(value), []
    return None, []

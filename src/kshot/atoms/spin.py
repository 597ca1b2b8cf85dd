"""Charge and spin: as files write them, as users state them, or taken and said to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int64

from kshot.atoms.elements import elements

CHARGE_KEYS = ("charge", "total_charge")
SPIN_KEYS = ("spin", "total_spin")

SpinMeaning = Literal["multiplicity", "unpaired"]
Origin = Literal["file", "option", "taken"]
"""Who states a value: the file, whoever reads it, or nobody: then the usual one is taken."""


class Stated(NamedTuple):
    """What is stated about structures from outside their file, for those that do not say.

    Args:
        charge: in elementary charges; None states none.
        spin: the multiplicity 2S + 1; None states none.
    """

    charge: int | None = None
    spin: int | None = None


class Origins(NamedTuple):
    """Where charge and spin come from."""

    charge: Origin = "file"
    spin: Origin = "file"


NOTHING_STATED = Stated()
IN_FILE = Origins()


class ChargeAndSpin(NamedTuple):
    """Charge and multiplicity of a structure.

    Args:
        charge: in elementary charges.
        multiplicity: 2S + 1.
        origins: who states them.
        problems: what is wrong with what is stated, or missing; empty if nothing is.
    """

    charge: int
    multiplicity: int
    origins: Origins
    problems: tuple[str, ...]


def charge_and_spin(
    numbers: Int64[np.ndarray, " atoms"],
    values: Mapping[str, Any],
    meaning: SpinMeaning | None = None,
    stated: Stated = NOTHING_STATED,
) -> ChargeAndSpin:
    """Return charge and multiplicity; nothing that contradicts itself is decided.

    A charge that nobody states is taken as 0. A spin that nobody states is taken as that of a
    closed shell (of a lone atom: its ground state); an odd number of electrons without one is a
    problem.

    Args:
        numbers: atomic numbers.
        values: of the frame, among them those of `CHARGE_KEYS` and `SPIN_KEYS`.
        meaning: of the frame's spin; see `kshot.atoms.reading.Reading`.
        stated: from outside, for what the frame does not say.
    """
    written, problems = _integer(values, CHARGE_KEYS)
    charge, charge_from, more = _settled("charge", written, stated.charge)
    electrons = int(numbers.sum()) - (charge or 0)
    spin, wrong = _integer(values, SPIN_KEYS)
    multiplicity, ambiguous = _multiplicity(spin, meaning, electrons)
    multiplicity, spin_from, contradicted = _settled("spin", multiplicity, stated.spin)
    problems += [*more, *wrong, *ambiguous, *contradicted]
    if multiplicity is None:
        multiplicity, missing = _taken(numbers, electrons, charge_from)
        problems += [] if problems else missing
    return ChargeAndSpin(
        charge or 0, multiplicity, Origins(charge_from, spin_from), tuple(problems)
    )


def _settled(
    name: str, written: int | None, stated: int | None
) -> tuple[int | None, Origin, list[str]]:
    """Return the value of a frame, or that of whoever reads it; they must not differ."""
    if written is not None:
        differ = stated is not None and stated != written
        problem = f"the file states {name} {written}, which contradicts the {name} {stated} given"
        return written, "file", [problem] if differ else []
    return stated, "taken" if stated is None else "option", []


def _multiplicity(
    spin: int | None, meaning: SpinMeaning | None, electrons: int
) -> tuple[int | None, list[str]]:
    """Return the multiplicity that a file's spin means, and whether it may mean something else."""
    if spin is None or meaning == "multiplicity":
        return spin, []
    if meaning == "unpaired":
        return spin + 1, []
    fits = _fitting(electrons)
    if fits(spin) or not fits(spin + 1):
        return spin, []
    problem = (
        f"spin = {spin} cannot be the multiplicity 2S + 1 of {electrons} electrons, but can be "
        f"their number of unpaired ones: if it is, state spin_means='unpaired' "
        f"(`kshot data convert --spin-means unpaired`)"
    )
    return spin, [problem]


def _fitting(electrons: int) -> Callable[[int], bool]:
    def fits(multiplicity: int) -> bool:
        return multiplicity >= 1 and (electrons - multiplicity) % 2 == 1

    return fits


def _taken(
    numbers: Int64[np.ndarray, " atoms"], electrons: int, charge_from: Origin
) -> tuple[int, list[str]]:
    """Return the multiplicity taken where nobody states one; a problem if it would be a guess."""
    if len(numbers) == 1 and 1 <= numbers[0] < len(elements().multiplicities):
        ground = elements().multiplicities[int(numbers[0])]
        return (ground if _fitting(electrons)(ground) else 1 + electrons % 2), []
    if electrons % 2 == 0:
        return 1, []
    count = f"{electrons} electrons are an odd number and no spin is given"
    if charge_from != "taken":
        return 2, [f"{count}: give --spin 2 of a radical, or write total_spin=2 (2S + 1)"]
    todo = "give --charge 1 or --charge -1 of an ion, --spin 2 of a radical"
    keys = "or write total_charge and total_spin (2S + 1)"
    return 2, [f"{count}, nor a charge (taken as 0): {todo}, {keys}"]


def _integer(values: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[int | None, list[str]]:
    """The one integer under several keys."""
    present = {key: values[key] for key in keys if key in values}
    if len(set(present.values())) > 1:
        words = " and ".join(f"{key} = {value}" for key, value in present.items())
        return None, [f"{words} differ"]
    for key, value in present.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not float(value).is_integer():
            return None, [f"{key} = {value!r} is not a whole number"]
        return int(value), []
    return None, []

"""Which families: by name, stratum, element."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kshot.atoms.elements import atomic_numbers, symbol
from kshot.core.errors import UnknownNameError
from kshot.families.catalogue.load import find_family
from kshot.families.family import Family


def select(
    families: Sequence[Family],
    *,
    names: Iterable[str] = (),
    strata: Iterable[str] = (),
    elements: Iterable[str] = (),
) -> tuple[Family, ...]:
    """Return the families that fulfil every condition given; without any, all of them.

    Args:
        families: to choose from.
        names: one of these.
        strata: in one of these.
        elements: with a member that has one of these, as symbols.

    Raises:
        UnknownNameError: a name, stratum or element that is not there.
    """
    names, strata, elements = set(names), set(strata), set(elements)
    for name in sorted(names):
        find_family(name, families)
    known = dict.fromkeys(family.stratum for family in families)
    if wrong := sorted(strata - set(known)):
        raise UnknownNameError(f"no stratum is called {wrong[0]!r}. Known: {', '.join(known)}.")
    if wrong := sorted(elements - set(atomic_numbers())):
        raise UnknownNameError(f"no element is called {wrong[0]!r}. Give symbols, such as Zn.")
    return tuple(
        family
        for family in families
        if (not names or family.name in names)
        and (not strata or family.stratum in strata)
        and (not elements or elements & set(elements_of(family)))
    )


def elements_of(family: Family) -> tuple[str, ...]:
    """Return the symbols of the elements of all members, by atomic number."""
    numbers = {int(n) for member in family.members for n in member.structure.numbers}
    return tuple(symbol(number) for number in sorted(numbers))

"""Which families train, which are for choosing, and which only tests see."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

from kshot.atoms import Structure
from kshot.atoms.elements import symbol
from kshot.core.errors import UnknownNameError
from kshot.families import load_catalogue, select
from kshot.families.catalogue.load import find_family
from kshot.families.family import Family
from kshot.pipeline.config import FamiliesConfig


class Chosen(NamedTuple):
    """Families by what they are for; no name stands in two of them."""

    training: tuple[Family, ...]
    validation: tuple[Family, ...]
    held_out: tuple[Family, ...]


def chosen(config: FamiliesConfig) -> Chosen:
    """Return the families of a configuration, each with the members it may use.

    Open shells are left out: no network here is told the spin.

    Raises:
        UnknownNameError: a family named that the catalogue does not have.
    """
    catalogue = load_catalogue()
    named = (*config.held_out, *config.relatives, *config.validation)
    for name in named:
        find_family(name, catalogue)
    twice = {name for name in named if named.count(name) > 1}
    if twice:
        todo = "A family trains, or is chosen on, or is tested on."
        raise UnknownNameError(f"{sorted(twice)} stand in two lists of the configuration. {todo}")
    pick = lambda names: _usable([find_family(n, catalogue) for n in names], config)  # noqa: E731
    inside = select(catalogue, strata=config.strata)
    training = _usable([f for f in inside if f.name not in named], config)
    return Chosen(training, pick(config.validation), pick(config.held_out))


def _usable(families: Sequence[Family], config: FamiliesConfig) -> tuple[Family, ...]:
    kept = [
        dataclasses.replace(
            family, members=tuple(m for m in family.members if fits(m.structure, config))
        )
        for family in families
    ]
    return tuple(family for family in kept if family.members)


def fits(structure: Structure, config: FamiliesConfig) -> bool:
    """Whether a configuration lets a structure train: closed shell, small, of its elements."""
    here = {symbol(int(number)) for number in structure.numbers}
    closed = structure.multiplicity == 1
    return closed and here <= set(config.elements) and len(structure) <= config.most_atoms

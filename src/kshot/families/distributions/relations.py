"""When two families are too alike to stand on different sides of a split."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kshot.atoms import Structure
from kshot.atoms.descriptors import near_duplicates
from kshot.atoms.elements import elements
from kshot.families.distributions.domains import Labels
from kshot.families.family import Family

BOND = 1.25  # sums of covalent radii
ROUNDS = 12  # of refinement: groups up to so many bonds across are told apart


class Edge(NamedTuple):
    """Two families that belong together, and why."""

    one: str
    other: str
    why: str


Relation = Callable[[Sequence[Family]], Iterable[Edge]]
"""Finds the pairs that belong together. It may leave out pairs that others already connect."""


def near_duplicate_members(families: Sequence[Family]) -> Iterator[Edge]:
    """Families with members of one composition and almost the same geometry."""
    owners, structures = _members(families)
    for i, j in near_duplicates(structures):
        if owners[i] != owners[j]:
            yield Edge(owners[i], owners[j], "near-duplicate geometries")


def same_molecule(families: Sequence[Family]) -> Iterator[Edge]:
    """Families with members that are one molecule: same elements, bonds and charge.

    Bonds are found from distances; conformers and mirror images count as one molecule.
    """
    owners, structures = _members(families)
    yield from _chained(
        ((owner, molecule_key(s)) for owner, s in zip(owners, structures, strict=True)),
        "the same molecule",
    )


def same_label(labels: Labels, why: str) -> Relation:
    """Return the relation of sharing a cluster or class.

    Args:
        labels: of each family.
        why: for messages, such as ``the same sequence cluster``.
    """

    def relation(families: Sequence[Family]) -> Iterator[Edge]:
        pairs = ((f.name, label) for f in families for label in sorted(labels.get(f.name, ())))
        yield from _chained(pairs, why)

    return relation


def same_tag(tag: str) -> Relation:
    """Return the relation of having the same value of a tag, such as ``cluster`` or ``pdb``."""

    def relation(families: Sequence[Family]) -> Iterator[Edge]:
        pairs = ((f.name, f.tags[tag]) for f in families if f.tags.get(tag))
        yield from _chained(pairs, f"the same {tag}")

    return relation


def molecule_key(structure: Structure) -> str:
    """Return what elements, bonds and charge of a structure have in common with its conformers."""
    radii = elements().radii[structure.numbers]
    x = structure.positions
    distances = np.linalg.norm(x[:, None] - x, axis=-1)
    bonded = (distances < BOND * (radii[:, None] + radii)) & ~np.eye(len(structure), dtype=bool)
    beside = [np.flatnonzero(row) for row in bonded]
    colours = [int(z) for z in structure.numbers]
    for _ in range(min(ROUNDS, len(structure))):  # Weisfeiler–Lehman refinement
        around = [(colours[i], *sorted(colours[j] for j in beside[i])) for i in range(len(colours))]
        colours = [hash(colour) for colour in around]  # of integers: the same in every process
    return f"{structure.charge}:{hash(tuple(sorted(colours)))}"


def _members(families: Sequence[Family]) -> tuple[list[str], list[Structure]]:
    pairs = [(family.name, member.structure) for family in families for member in family.members]
    return [name for name, _ in pairs], [structure for _, structure in pairs]


def _chained(pairs: Iterable[tuple[str, str]], why: str) -> Iterator[Edge]:
    """Connect all that share a key by a chain: n − 1 edges, not n²."""
    last: dict[str, str] = {}
    for name, key in pairs:
        if key in last and last[key] != name:
            yield Edge(last[key], name, why)
        last[key] = name


def groups_of(labels: Labels) -> dict[str, list[str]]:
    """Return the families of each label."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, values in labels.items():
        for value in values:
            found[value].append(name)
    return dict(found)

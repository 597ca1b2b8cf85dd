"""Near neighbours: families so alike that a test on one, trained on the other, shows too much."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from kshot.families.distributions.heavy_atoms import (
    HeavyGraph,
    fewest_edits,
    heavy_graph,
    metal_ligands,
    shared_part,
)
from kshot.families.distributions.relations import Edge
from kshot.families.family import Family

EDITS = 4
COVERED = 0.75


class Likeness(NamedTuple):
    """How much a tested family is like one that trains, at the worst over their members.

    Args:
        family: the one that trains.
        edits: graph edit distance of the heavy atoms; None if more than `EDITS`.
        coverage: the part of the tested molecule's heavy atoms that the largest common
            substructure holds, from 0 to 1; less than `COVERED` may stand as 0.
        ligands: metal–ligand pairs of both.
        timed_out: a search was cut short, and the coverage is what the elements allow.
    """

    family: str
    edits: int | None
    coverage: float
    ligands: frozenset[str]
    timed_out: bool = False

    @property
    def near(self) -> bool:
        """Whether it is a near neighbour."""
        return self.edits is not None or self.coverage >= COVERED or bool(self.ligands)

    @property
    def why(self) -> str:
        """What makes it a near neighbour; empty if it is none."""
        reasons = []
        if self.edits is not None:
            reasons.append(f"edits apart: {self.edits}")
        if self.coverage >= COVERED:
            cut = ", search cut short" if self.timed_out else ""
            reasons.append(f"{self.coverage:.0%} of its heavy atoms in common{cut}")
        if self.ligands:
            reasons.append(f"both have {', '.join(sorted(self.ligands))}")
        return "; ".join(reasons)


def near_neighbours(families: Sequence[Family]) -> Iterator[Edge]:
    """Families that are near neighbours, whichever of the two is tested.

    A family is a near neighbour of a tested one if, of any two of their members,

    * at most `EDITS` edits make one molecule of the other: an atom more or less, another element, a
      bond more or less, among heavy atoms; hydrogens, charges and bond orders do not count; or
    * at least `COVERED` of the *tested* molecule's heavy atoms are in the largest substructure that
      both have: connected, with the same elements, rings whole, bond orders aside. The tested
      molecule inside a larger one (uracil in uridine) is near; a ring that trains inside a tested
      molecule twice its size (benzene in clonidine) is not; or
    * both have the same metal with the same kind of donor: one element, the same heavy atoms on it.

    Before a split nobody knows which of two is tested: here either may be. `likeness` is told.
    """
    graphs = {family.name: graphs_of(family) for family in families}
    for family, other in combinations(families, 2):
        both = (
            compare(graphs[family.name], graphs[other.name], other.name),
            compare(graphs[other.name], graphs[family.name], family.name),
        )
        for likeness_of in both:
            if likeness_of.near:
                yield Edge(family.name, other.name, likeness_of.why)
                break


def likeness(tested: Family, training: Sequence[Family], least: float = COVERED) -> list[Likeness]:
    """Return how much a tested family is like each that trains, the most alike first.

    Args:
        tested: its molecules are what must be covered.
        training: what it is compared with.
        least: coverages that cannot reach this part are not searched for, and stand as 0.
    """
    graphs = graphs_of(tested)
    compared = [compare(graphs, graphs_of(family), family.name, least) for family in training]
    return sorted(compared, key=_rank)


def graphs_of(family: Family) -> tuple[HeavyGraph, ...]:
    """Return the distinct graphs of a family's members that have heavy atoms."""
    graphs = dict.fromkeys(heavy_graph(member) for member in family.members)
    return tuple(graph for graph in graphs if graph.numbers)


def compare(
    tested: Sequence[HeavyGraph],
    training: Sequence[HeavyGraph],
    name: str,
    least: float = COVERED,
) -> Likeness:
    """Return the likeness of molecules to those of a family called ``name``; see `likeness`."""
    edits: int | None = None
    coverage, timed_out = 0.0, False
    pairs: frozenset[str] = frozenset()
    for graph in tested:
        for other in training:
            fewest = fewest_edits(graph, other, EDITS)
            edits = min((e for e in (edits, fewest) if e is not None), default=None)
            part = shared_part(graph, other, least=math.ceil(least * len(graph.numbers)))
            coverage = max(coverage, part.atoms / len(graph.numbers))
            timed_out = timed_out or part.timed_out
            pairs |= metal_ligands(graph) & metal_ligands(other)
    return Likeness(name, edits, coverage, pairs, timed_out)


def _rank(found: Likeness) -> tuple[bool, int, float, str]:
    edits = EDITS + 1 if found.edits is None else found.edits
    return not found.near, edits, -found.coverage, found.family

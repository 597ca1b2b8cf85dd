"""Molecules as graphs of heavy atoms: how many edits make one of another, what two share."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from kshot.atoms.elements import symbol
from kshot.families.family import Member
from kshot.families.samplers.geometry import bonds

NONMETALS = frozenset((1, 2, *range(5, 11), *range(14, 19), *range(32, 37), 52, 53, 54, 85, 86))
TIMEOUT = 10  # seconds for one common substructure


class HeavyGraph(NamedTuple):
    """A molecule without hydrogens, charges and bond orders.

    Args:
        numbers: atomic number of each heavy atom.
        beside: the heavy atoms bonded to each.
    """

    numbers: tuple[int, ...]
    beside: tuple[frozenset[int], ...]

    @property
    def bonds(self) -> list[tuple[int, int]]:
        """Pairs of bonded atoms, each once."""
        return [(i, j) for i, others in enumerate(self.beside) for j in others if i < j]


class Shared(NamedTuple):
    """The largest connected part that two molecules share.

    Args:
        atoms: how many heavy atoms it has; if ``timed_out``, what the composition allows at most.
        timed_out: whether the search was cut short.
    """

    atoms: int
    timed_out: bool = False


def heavy_graph(member: Member) -> HeavyGraph:
    """Return the graph of a member: of its SMILES, or else of distances in its geometry."""
    if member.smiles:
        from rdkit.Chem import GetAdjacencyMatrix

        from kshot.families.catalogue.molecules import molecule

        mol = molecule(member.smiles)
        numbers = np.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        bonded = np.asarray(GetAdjacencyMatrix(mol), bool)
    else:
        numbers = member.structure.numbers
        bonded = bonds(numbers, member.structure.positions)
    heavy = np.flatnonzero(numbers > 1)
    inside = bonded[np.ix_(heavy, heavy)]
    beside = tuple(frozenset(np.flatnonzero(row).tolist()) for row in inside)
    return HeavyGraph(tuple(numbers[heavy].tolist()), beside)


def metal_ligands(graph: HeavyGraph) -> frozenset[str]:
    """Return the kinds of metal–ligand pairs of a molecule, such as ``Zn–S(C)``.

    A kind is the metal, the donor, and the other heavy atoms bonded to the donor.
    """
    return frozenset(
        f"{symbol(graph.numbers[metal])}–{_donor(graph, donor)}"
        for metal, number in enumerate(graph.numbers)
        if number not in NONMETALS
        for donor in graph.beside[metal]
        if graph.numbers[donor] in NONMETALS
    )


def shared_part(graph: HeavyGraph, other: HeavyGraph, least: int = 2) -> Shared:
    """Return the size of the maximum common substructure: connected, elements alike.

    Bond orders are not compared; a ring is shared as a whole or not at all, and no chain of one
    molecule counts as part of a ring of the other.

    Args:
        graph: one molecule.
        other: the other one.
        least: fewer atoms than this count as nothing: no search where the elements forbid it.
    """
    common = _common(Counter(graph.numbers), Counter(other.numbers))
    if common < max(least, 2):
        return Shared(0)
    from rdkit.Chem import rdFMCS

    search = rdFMCS.FindMCS(
        [_skeleton(graph), _skeleton(other)],
        atomCompare=rdFMCS.AtomCompare.CompareElements,
        bondCompare=rdFMCS.BondCompare.CompareAny,
        ringMatchesRingOnly=True,
        completeRingsOnly=True,
        timeout=TIMEOUT,
    )
    return Shared(common, timed_out=True) if search.canceled else Shared(search.numAtoms)


def fewest_edits(graph: HeavyGraph, other: HeavyGraph, most: int) -> int | None:
    """Return the graph edit distance, or None where it is more than ``most``.

    An edit is an atom more or less, another element, or a bond more or less; each counts 1. The
    search is exact: atoms are matched one after the other, and a branch ends where its edits, with
    those that the elements left over need at least, are no fewer than the best so far.

    Args:
        graph: one molecule.
        other: the other one.
        most: the search is quick for small numbers, such as 4.
    """
    apart = _differing(Counter(graph.numbers), Counter(other.numbers))
    if apart + abs(len(graph.bonds) - len(other.bonds)) > most:
        return None
    edits = _Matching(graph, other, most).search()
    return edits if edits <= most else None


class _Matching:
    """Depth-first search for the cheapest match of atoms to atoms, or to nothing."""

    def __init__(self, graph: HeavyGraph, other: HeavyGraph, most: int) -> None:
        self.graph, self.other = graph, other
        self.order = _connected_order(graph)
        self.best = most + 1
        self.image: dict[int, int | None] = {}
        places = range(len(self.order) + 1)
        # what is left of the graph at each place: elements, and bonds that no edit has settled.
        self.left = [Counter(graph.numbers[i] for i in self.order[place:]) for place in places]
        open_at = [{*self.order[place:]} for place in places]
        self.bonds_left = [
            sum(i in atoms or j in atoms for i, j in graph.bonds) for atoms in open_at
        ]
        self.unmatched = Counter(other.numbers)

    def search(self) -> int:
        """Return the fewest edits, or one more than the most that were allowed."""
        self._extend(0, frozenset(range(len(self.other.numbers))), len(self.other.bonds), 0)
        return self.best

    def _extend(self, place: int, free: frozenset[int], loose: int, edits: int) -> None:
        """Match the atoms from a place on.

        Args:
            place: in the order of the graph's atoms.
            free: atoms of the other that are not matched.
            loose: bonds of the other that have a free end.
            edits: so far.
        """
        bonds = abs(self.bonds_left[place] - loose)  # each of them is one more or one less
        if edits + bonds + _differing(self.left[place], self.unmatched) >= self.best:
            return
        if place == len(self.order):
            self.best = edits + len(free) + loose
            return
        atom = self.order[place]
        for price, j in sorted((self._price(atom, j), j) for j in free):
            if edits + price >= self.best:
                break
            self.image[atom] = j
            self.unmatched[self.other.numbers[j]] -= 1
            settled = sum(i not in free for i in self.other.beside[j])
            self._extend(place + 1, free - {j}, loose - settled, edits + price)
            self.unmatched[self.other.numbers[j]] += 1
        self.image[atom] = None
        lost = sum(i in self.image for i in self.graph.beside[atom])
        self._extend(place + 1, free, loose, edits + 1 + lost)
        del self.image[atom]

    def _price(self, atom: int, j: int) -> int:
        """Return the edits of matching ``atom`` to ``j``: its element, its bonds so far."""
        wanted = {i for i in self.graph.beside[atom] if i in self.image}
        there = {i for i, image in self.image.items() if image in self.other.beside[j]}
        renamed = self.graph.numbers[atom] != self.other.numbers[j]
        return int(renamed) + len(wanted ^ there)


def _connected_order(graph: HeavyGraph) -> list[int]:
    """Return the atoms so that most are bonded to one before: edits are met early."""
    frequency = Counter(graph.numbers)
    left = set(range(len(graph.numbers)))
    order: list[int] = []
    while left:
        ranked = [
            (-len(graph.beside[i].difference(left)), frequency[graph.numbers[i]], i) for i in left
        ]
        order.append(min(ranked)[-1])
        left.remove(order[-1])
    return order


def _donor(graph: HeavyGraph, donor: int) -> str:
    near = [graph.numbers[i] for i in graph.beside[donor] if graph.numbers[i] in NONMETALS]
    around = "".join(symbol(number) for number in sorted(near))
    return symbol(graph.numbers[donor]) + (f"({around})" if around else "")


def _skeleton(graph: HeavyGraph) -> Any:  # noqa: ANN401 - RDKit has no types
    """Return RDKit's molecule of the graph, all bonds single, with its rings found."""
    from rdkit import Chem

    mol = Chem.RWMol()
    for number in graph.numbers:
        mol.AddAtom(Chem.Atom(number))
    for i, j in graph.bonds:
        mol.AddBond(i, j, Chem.BondType.SINGLE)
    mol.UpdatePropertyCache(strict=False)
    Chem.GetSymmSSSR(mol)
    return mol.GetMol()


def _common(numbers: Counter[int], others: Counter[int]) -> int:
    return (numbers & others).total()


def _differing(numbers: Counter[int], others: Counter[int]) -> int:
    """Return the fewest atoms to add, take away or rename, bonds aside."""
    return max(numbers.total(), others.total()) - _common(numbers, others)

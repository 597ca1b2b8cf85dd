"""Cut a piece out of a protein: whole chemical groups, caps on the chain, link hydrogens.

Bonds are cut between a saturated carbon that is kept and another carbon, outside rings. The chain
is cut at the α carbons of neighbours, which become the methyl groups of ACE and NME. A hydrogen
stands on every cut bond, so that every valence, and with it the charge, stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from kshot.atoms import Structure
from kshot.atoms.elements import elements, symbol
from kshot.families.proteins.hydrogens import AllAtom
from kshot.families.proteins.metals import METALS
from kshot.families.proteins.standard import VALENCE

CH = 1.09  # Å
LARGEST_RING = 7
STRETCHED = 0.4  # Å beyond covalent radii: no bond is longer
TOUCHING = 0.1  # Å beyond covalent radii: what is nearer is bonded
HYPERVALENT = {15: (3, 5), 16: (2, 4, 6), 34: (2, 4, 6), 33: (3, 5), 17: (1, 7)}


class Scissors:
    """What can be cut out of one protein."""

    def __init__(self, whole: AllAtom) -> None:
        """Index bonds by atom."""
        self.whole = whole
        self.protein = whole.protein
        self.beside: list[dict[int, int]] = [{} for _ in range(len(self.protein))]
        for (i, j), order in whole.bonds.items():
            self.beside[i][j] = order
            self.beside[j][i] = order

    def before(self, residue: int) -> int | None:
        """Return the carbonyl carbon bound to a residue's N, if there is one."""
        return self._beyond(residue, "N")

    def after(self, residue: int) -> int | None:
        """Return the nitrogen bound to a residue's C, if there is one."""
        return self._beyond(residue, "C")

    def _beyond(self, residue: int, name: str) -> int | None:
        atom = self.protein.named(residue).get(name)
        if atom is None:
            return None
        others = (j for j in self.beside[atom] if self.protein.residue_of[j] != residue)
        return next(others, None)

    def piece(self, atoms: Iterable[int], residues: Iterable[int] = ()) -> Piece:
        """Return the smallest piece that has these atoms and residues, in whole groups."""
        piece = Piece(self)
        for residue in residues:
            piece.add_residue(residue)
        for atom in atoms:
            piece.add(atom)
        piece.close()
        return piece

    def cuttable(self, kept: int, left: int) -> bool:
        """Whether the bond may be cut, its first atom being kept."""
        numbers = self.protein.numbers
        if numbers[kept] != 6 or numbers[left] != 6 or self.beside[kept][left] != 1:
            return False
        saturated = all(order == 1 for order in self.beside[kept].values())
        return saturated and not self._in_ring(kept, left)

    def _in_ring(self, i: int, j: int) -> bool:
        """Whether a bond is in a ring of up to seven atoms."""
        seen, edge = {i}, {i}
        for _ in range(LARGEST_RING - 1):
            edge = {b for a in edge for b in self.beside[a] if {a, b} != {i, j} and b not in seen}
            if j in edge:
                return True
            seen |= edge
        return False


class Piece:
    """A growing set of atoms, and the α carbons at which the chain may be cut."""

    def __init__(self, scissors: Scissors) -> None:
        """Start empty."""
        self.scissors = scissors
        self.protein = scissors.protein
        self.atoms: set[int] = set()
        self.caps: set[int] = set()
        self._residues: set[int] = set()

    def add(self, atom: int) -> None:
        """Add an atom with its hydrogens."""
        self.atoms.add(atom)
        self.atoms |= {j for j in self.scissors.beside[atom] if self.protein.numbers[j] == 1}

    def add_residue(self, residue: int) -> None:
        """Add a whole residue with ACE before and NME after it, made of its neighbours' atoms."""
        if residue in self._residues:
            return
        self._residues.add(residue)
        for atom in self.protein.atoms(residue):
            self.add(atom)
        for first in (self.scissors.before(residue), self.scissors.after(residue)):
            if first is not None:
                self._add_cap(first, residue)

    def _add_cap(self, first: int, residue: int) -> None:
        """The amide group of a neighbour, and the carbons next to it."""
        self.add(first)
        for j in self.scissors.beside[first]:
            if self.protein.residue_of[j] != residue:
                self.add(j)
                if self.protein.numbers[j] == 6:
                    self.caps.add(j)

    def close(self) -> None:
        """Add atoms until every bond that leaves the piece may be cut."""
        while more := self._needed():
            for atom in more:
                residue = int(self.protein.residue_of[atom])
                if self._whole(atom, residue):
                    self.add_residue(residue)
                else:
                    self.add(atom)

    def _whole(self, atom: int, residue: int) -> bool:
        """Whether an atom comes with its whole residue.

        One of the backbone does: the chain would be followed without end. So does one of a sugar
        or another ligand: half of it would be another molecule.
        """
        backbone = {"N", "CA", "C", "O"}
        if not backbone <= set(self.protein.named(residue)):
            return True
        return self.protein.names[atom] in backbone

    def crossing(self) -> list[tuple[int, int]]:
        """Return the bonds that leave the piece, the kept atom first."""
        beside = self.scissors.beside
        return sorted((i, j) for i in self.atoms for j in beside[i] if j not in self.atoms)

    def _needed(self) -> set[int]:
        crossing = self.crossing()
        left = [j for _, j in crossing]
        uncut = {j for i, j in crossing if not (i in self.caps or self.scissors.cuttable(i, j))}
        # A dropped atom between two kept ones would leave two link hydrogens on top of each other.
        return uncut | {j for j in left if left.count(j) > 1}

    def unusable(self) -> str:
        """Return why the piece cannot be used, if a residue in it cannot."""
        for residue in sorted({int(self.protein.residue_of[i]) for i in self.atoms}):
            if residue in self.scissors.whole.unusable:
                why = self.scissors.whole.unusable[residue]
                return f"{self.protein.residues[residue].label} {why}"
        return ""

    def structure(self, family: str, info: dict[str, str | int | float | bool]) -> Structure:
        """Return the piece with its link hydrogens, charge and multiplicity."""
        whole, protein = self.scissors.whole, self.protein
        order = sorted(self.atoms)
        links = []
        for i, j in self.crossing():
            arm = protein.positions[j] - protein.positions[i]
            links.append(protein.positions[i] + CH * arm / np.linalg.norm(arm))
        return Structure(
            np.array([*protein.numbers[order], *(1 for _ in links)], np.int64),
            np.array([*protein.positions[order], *links]),
            charge=int(whole.charges[order].sum()),
            multiplicity=int(whole.unpaired[order].sum()) + 1,
            family=family,
            info=info,
        )

    def bonds(self) -> dict[tuple[int, int], int]:
        """Return the bonds of `structure` by its indices, link hydrogens last."""
        order = {i: k for k, i in enumerate(sorted(self.atoms))}
        found = {
            (order[i], order[j]): n
            for (i, j), n in self.scissors.whole.bonds.items()
            if i in order and j in order
        }
        found |= {(order[i], len(order) + k): 1 for k, (i, _) in enumerate(self.crossing())}
        return found

    def formal_charges(self) -> list[int]:
        """Return the formal charges of `structure`, link hydrogens last."""
        charges = self.scissors.whole.charges
        return [*(int(charges[i]) for i in sorted(self.atoms)), *(0 for _ in self.crossing())]


def valence_flaws(
    structure: Structure, bonds: dict[tuple[int, int], int], charges: list[int]
) -> list[str]:
    """Return what does not come back when bonds are found again from positions and valences.

    Args:
        structure: a piece with its caps.
        bonds: its bonds with their orders, as it was cut.
        charges: its formal charges.

    Returns:
        One phrase per flaw: a bond that its length does not show, two atoms bonded by their
        distance that should not be, a valence not filled, a charge or parity that cannot be.
    """
    radii = elements().radii
    numbers, x = structure.numbers, structure.positions
    covalent = ~np.isin(numbers, list(METALS))
    reach = radii[numbers][:, None] + radii[numbers]
    distances = np.linalg.norm(x[:, None] - x, axis=-1)
    flaws = []
    for i, j in bonds:
        if distances[i, j] > reach[i, j] + STRETCHED:
            flaws.append(f"bond {_name(numbers, i, j)} of {distances[i, j]:.2f} Å")
    close = np.triu(distances < reach + TOUCHING, 1) & covalent[:, None] & covalent
    for i, j in np.argwhere(close).tolist():
        if (i, j) not in bonds and (j, i) not in bonds:
            flaws.append(f"{_name(numbers, i, j)} {distances[i, j]:.2f} Å apart and not bonded")
    sums = np.zeros(len(structure), int)
    for (i, j), order in bonds.items():
        sums[[i, j]] += order
    for i in np.flatnonzero(covalent).tolist():
        if not _filled(int(numbers[i]), int(sums[i]), charges[i]):
            flaws.append(f"{symbol(int(numbers[i]))} with {sums[i]} bonds and charge {charges[i]}")
    electrons = int(numbers.sum()) - structure.charge
    if (electrons - structure.multiplicity + 1) % 2:
        flaws.append(f"{electrons} electrons with multiplicity {structure.multiplicity}")
    if sum(charges) != structure.charge:
        flaws.append(f"formal charges add up to {sum(charges)}, the charge is {structure.charge}")
    return flaws


def _filled(number: int, bonds: int, charge: int) -> bool:
    if number == 1:
        return bonds == 1 and charge == 0
    if number == 6:
        return bonds + abs(charge) == 4
    if not bonds:  # an ion or the heavy atom of nothing
        return charge != 0 or number == 8
    usual = HYPERVALENT.get(number, (VALENCE.get(number, 1),))
    return bonds - charge in usual


def _name(numbers: np.ndarray, i: int, j: int) -> str:
    return f"{symbol(int(numbers[i]))}{i}–{symbol(int(numbers[j]))}{j}"

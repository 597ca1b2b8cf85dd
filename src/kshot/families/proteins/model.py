"""A protein as read from a file: heavy and hydrogen atoms in residues, one position each."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

WATERS = frozenset({"HOH", "WAT", "DOD", "H2O", "TIP3", "SOL"})


@dataclass(frozen=True)
class Residue:
    """One residue, ligand, ion or water.

    Args:
        chain: its chain's name in the file.
        name: its name in the file, such as ``CYS``.
        number: its number in the file.
        insertion: its insertion code; empty if none.
        first_of_chain: a true N-terminus, as the sequence in the file has it.
        last_of_chain: a true C-terminus.
        entity: the polymer's number in the entry, where the file (mmCIF) tells; else empty.
    """

    chain: str
    name: str
    number: int
    insertion: str = ""
    first_of_chain: bool = False
    last_of_chain: bool = False
    entity: str = ""

    @property
    def label(self) -> str:
        """How messages name it, such as ``CYS A 65``."""
        return f"{self.name} {self.chain} {self.number}{self.insertion}"

    @property
    def slug(self) -> str:
        """How members of families are called after it, such as ``cys-a65``."""
        return f"{self.name}-{self.chain}{self.number}{self.insertion}".lower()


@dataclass(frozen=True, eq=False)
class Protein:
    """Atoms in residues.

    Args:
        source: the file it was read from.
        entry: its PDB code, or the file's stem.
        names: of the atoms, unique within a residue.
        numbers: atomic numbers.
        positions: in Å.
        residue_of: the index of each atom's residue; non-decreasing.
        residues: in the order of the file.
        notes: what was met and chosen while reading, for the user.
    """

    source: str
    entry: str
    names: tuple[str, ...]
    numbers: Int64[np.ndarray, " atoms"]
    positions: Float64[np.ndarray, "atoms 3"]
    residue_of: Int64[np.ndarray, " atoms"]
    residues: tuple[Residue, ...]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of atoms."""
        return len(self.numbers)

    def atoms(self, residue: int) -> range:
        """Return the indices of a residue's atoms."""
        start, stop = np.searchsorted(self.residue_of, [residue, residue + 1])
        return range(int(start), int(stop))

    def named(self, residue: int) -> dict[str, int]:
        """Return the atoms of a residue by name."""
        return {self.names[i]: i for i in self.atoms(residue)}

    def label(self, atom: int) -> str:
        """Return how messages name an atom, such as ``SG of CYS A 65``."""
        return f"{self.names[atom]} of {self.residues[self.residue_of[atom]].label}"

    def noting(self, notes: Iterable[str]) -> Protein:
        """Return the same protein with further notes."""
        return dataclasses.replace(self, notes=(*self.notes, *notes))

    def keeping(self, residues: Iterable[int]) -> Protein:
        """Return only these residues."""
        kept = sorted(set(residues))
        mask = np.isin(self.residue_of, kept)
        return dataclasses.replace(
            self,
            names=tuple(np.array(self.names, object)[mask]),
            numbers=self.numbers[mask],
            positions=self.positions[mask],
            residue_of=np.searchsorted(kept, self.residue_of[mask]).astype(np.int64),
            residues=tuple(self.residues[i] for i in kept),
        )

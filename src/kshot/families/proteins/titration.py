"""Which hydrogens the standard residues have at a pH, beside metals, and at chain ends."""

from __future__ import annotations

import numpy as np

from kshot.families.proteins import space
from kshot.families.proteins.metals import METALS, REACH
from kshot.families.proteins.model import Protein

PKA = {"ASP": 3.9, "GLU": 4.3, "HIS": 6.5, "CYS": 8.3, "TYR": 10.1, "LYS": 10.5, "ARG": 12.5}
PKA_N_TERMINUS, PKA_C_TERMINUS = 8.0, 3.3
ATOM = {"ASP": "OD2", "GLU": "OE2", "CYS": "SG", "TYR": "OH", "LYS": "NZ", "ARG": "NH2"}
ACIDS = frozenset({"ASP", "GLU", "CYS", "TYR"})
STATED = {"ASH": 0, "GLH": 0, "LYN": 0, "CYM": -1}
"""Residue names that say how many hydrogens the titrating atom has beyond the neutral form."""
TAUTOMERS = {
    "HID": (1, 0),
    "HSD": (1, 0),
    "HIE": (0, 1),
    "HSE": (0, 1),
    "HIP": (1, 1),
    "HSP": (1, 1),
}
HYDROGEN_BOND = 3.3  # Å between nitrogen and acceptor
PHENOLATE = 2.4  # Å: a tyrosine oxygen nearer than this to a metal is a phenolate


class Surroundings:
    """Who is near an atom: metals that bind it, partners of hydrogen bonds."""

    def __init__(self, protein: Protein) -> None:
        """Index the heavy atoms."""
        self.protein = protein
        self._tree = space.tree(protein.positions)

    def metal(self, atom: int, reach: float = REACH) -> bool:
        """Whether a metal binds this atom."""
        near = self._tree.query_ball_point(self.protein.positions[atom], reach)
        return any(int(self.protein.numbers[j]) in METALS for j in near)

    def acceptors(self, atom: int) -> int:
        """Oxygens of other residues near enough to take a hydrogen bond, less donor nitrogens."""
        protein = self.protein
        near = self._tree.query_ball_point(protein.positions[atom], HYDROGEN_BOND)
        others = [j for j in near if protein.residue_of[j] != protein.residue_of[atom]]
        takes = sum(protein.numbers[j] == 8 for j in others)
        gives = sum(protein.numbers[j] == 7 and protein.names[j] in {"N", "NZ"} for j in others)
        return int(takes - gives)


def shifts(
    protein: Protein, residue: int, kind: str, bound: dict[int, int], ph: float, near: Surroundings
) -> tuple[dict[str, int], str]:
    """Return hydrogens more or fewer than in the neutral template, by atom, and a note.

    Args:
        protein: all atoms.
        residue: a standard amino acid.
        kind: its canonical name, such as ``HIS`` for ``HIE``.
        bound: number of bonds to other residues of each atom.
        ph: of the solution.
        near: of the protein.
    """
    named = protein.named(residue)
    label = protein.residues[residue].label
    found, note = _chain_ends(protein, residue, bound, ph), ""
    if kind == "HIS":
        change, note = _histidine(protein, residue, ph, near)
        return found | change, note
    atom = ATOM.get(kind)
    if atom is None or atom not in named or bound.get(named[atom]):
        return found, note
    name = protein.residues[residue].name
    on_metal = near.metal(named[atom], PHENOLATE if kind == "TYR" else REACH)
    if name in STATED:
        found[atom] = STATED[name]
    elif kind in ACIDS:
        found[atom] = -1 if on_metal or ph > PKA[kind] else 0
        if on_metal and kind in {"CYS", "TYR"}:
            note = f"{label}: bound to a metal, deprotonated"
    else:
        found[atom] = 0 if on_metal or ph > PKA[kind] else 1
    return found, note


def _chain_ends(protein: Protein, residue: int, bound: dict[int, int], ph: float) -> dict[str, int]:
    named, found = protein.named(residue), {}
    here = protein.residues[residue]
    if here.first_of_chain and "N" in named and not bound.get(named["N"]):
        found["N"] = 1 if ph < PKA_N_TERMINUS else 0
    if "OXT" in named:
        found["OXT"] = -1 if ph > PKA_C_TERMINUS else 0
    return found


def _histidine(
    protein: Protein, residue: int, ph: float, near: Surroundings
) -> tuple[dict[str, int], str]:
    """Of the neutral form the template has its hydrogen on NE2, and ND1 bears none."""
    named = protein.named(residue)
    here = protein.residues[residue]
    if not {"ND1", "NE2"} <= set(named):
        return {}, ""
    metal = [near.metal(named[atom]) for atom in ("ND1", "NE2")]
    if here.name in TAUTOMERS:
        delta, epsilon = TAUTOMERS[here.name]
        why = "as its name says"
    elif any(metal):
        delta, epsilon = (int(not bound) for bound in metal)
        why = "bound to a metal"
    elif ph < PKA["HIS"]:
        delta, epsilon, why = 1, 1, f"pH {ph:g}"
    else:
        delta = int(near.acceptors(named["ND1"]) > near.acceptors(named["NE2"]))
        epsilon, why = 1 - delta, "its hydrogen bonds"
    where = " and ".join(np.array(["ND1", "NE2"])[np.array([delta, epsilon], bool)]) or "neither N"
    return {"ND1": delta, "NE2": epsilon - 1}, f"{here.label}: hydrogen on {where} ({why})"

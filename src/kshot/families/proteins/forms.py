"""What a residue is called once its hydrogens are known: HIE or HIP, CYX or CYM."""

from __future__ import annotations

from kshot.families.proteins.cut import Scissors
from kshot.families.proteins.known import MODIFIED
from kshot.families.proteins.standard import ALIASES, CANONICAL

# Residue → the atoms whose hydrogens are counted, and the name for each count.
FORMS: dict[str, tuple[tuple[str, ...], dict[tuple[int, ...], str]]] = {
    "HIS": (("ND1", "NE2"), {(1, 0): "hid", (0, 1): "hie", (1, 1): "hip", (0, 0): "him"}),
    "ASP": (("OD1", "OD2"), {(0, 0): "asp", (0, 1): "ash", (1, 0): "ash"}),
    "GLU": (("OE1", "OE2"), {(0, 0): "glu", (0, 1): "glh", (1, 0): "glh"}),
    "LYS": (("NZ",), {(3,): "lys", (2,): "lyn"}),
    "ARG": (("NE", "NH1", "NH2"), {(1, 2, 2): "arg"}),
    "CYS": (("SG",), {(1,): "cys", (0,): "cym"}),
    "TYR": (("OH",), {(1,): "tyr", (0,): "tym"}),
}


def form(scissors: Scissors, residue: int) -> str:
    """Return the name of a residue's protonation state, in lower case.

    A residue bound to another by more than the chain ends in ``x``, such as ``cyx``.
    """
    protein = scissors.protein
    name = protein.residues[residue].name
    kind = ALIASES.get(name, name)
    named = protein.named(residue)
    linked = any(
        protein.residue_of[j] != residue
        for atom, i in named.items()
        if atom not in {"N", "C"}
        for j in scissors.beside[i]
    )
    if linked:
        return "cyx" if kind == "CYS" else f"{kind.lower()}-linked"
    if kind not in FORMS or kind not in CANONICAL:
        return kind.lower()
    atoms, names = FORMS[kind]
    counts = tuple(
        sum(protein.numbers[j] == 1 for j in scissors.beside[named[atom]]) if atom in named else 0
        for atom in atoms
    )
    return names.get(counts, f"{kind.lower()}-other")


def is_amino_acid(scissors: Scissors, residue: int) -> bool:
    """Whether a residue has the backbone of one."""
    return {"N", "CA", "C", "O"} <= set(scissors.protein.named(residue))


def complete(scissors: Scissors, residue: int) -> bool:
    """Whether the chain goes on, or truly ends, on both sides of a residue."""
    here = scissors.protein.residues[residue]
    before = scissors.before(residue) is not None or here.first_of_chain
    return before and (scissors.after(residue) is not None or here.last_of_chain)


def modification(scissors: Scissors, residue: int) -> dict[str, str]:
    """Return the tag of a residue that is not one of the twenty, or is bound to another."""
    name = scissors.protein.residues[residue].name
    shape = form(scissors, residue)
    if name in MODIFIED:
        return {"modification": MODIFIED[name][1]}
    if shape == "cyx":
        return {"modification": "disulfide"}
    return {"modification": shape} if shape.endswith("-linked") else {}

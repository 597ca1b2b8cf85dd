"""A structure file into families: capped residues, pairs in contact, pockets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from kshot.core.bars import bar
from kshot.core.errors import InputError
from kshot.families.proteins import space
from kshot.families.proteins.chemistry import Chemistry, States, assign
from kshot.families.proteins.complete import close_chains, rebuild
from kshot.families.proteins.cut import Scissors
from kshot.families.proteins.forms import complete, form, is_amino_acid, modification
from kshot.families.proteins.harvest import Fragments, Harvest, finish, keep
from kshot.families.proteins.hydrogens import AllAtom, add_hydrogens
from kshot.families.proteins.model import Protein
from kshot.families.proteins.pockets import (
    CHAIN,
    Centre,
    check_centres,
    crop,
    cut_pocket,
    find_centres,
)
from kshot.families.proteins.read import read_protein

Kind = Literal["residues", "pairs"]
MARGIN = 12.0  # Å around pockets within which a protein is kept where only pockets are wanted


@dataclass(frozen=True)
class Cuts:
    """What is cut out of a protein.

    Args:
        kinds: ``residues`` for ACE–X–NME, ``pairs`` for two residues in contact.
        pockets: names of ligands or metals (``HEM``, ``ZN``), or ``*`` for all.
        radius: Å around a pocket's centre, between heavy atoms.
        contact: Å between side chains of a pair, between heavy atoms.
    """

    kinds: frozenset[Kind] = frozenset({"residues"})
    pockets: tuple[str, ...] = ()
    radius: float = 4.5
    contact: float = 4.0


def fragment_protein(
    path: str | Path, cuts: Cuts | None = None, states: States | None = None, *, show: bool = False
) -> Fragments:
    """Read a PDB or mmCIF file, add hydrogens, and cut fragments with caps and right charges.

    Args:
        path: the file.
        cuts: which fragments; capped residues if None.
        states: pH, and what is known of ligands and metals.
        show: a progress bar on standard error.

    Raises:
        InputError: the file cannot be used, a pocket's centre is not in it or has unknown
            chemistry, or nothing can be cut out; raised before anything slow.
        MissingExtraError: heavy atoms are missing and PDBFixer is not installed.
    """
    cuts, states = cuts or Cuts(), states or States()
    protein = read_protein(path)
    centres = find_centres(protein, cuts.pockets)
    if centres and not cuts.kinds:
        protein, centres = crop(protein, centres, cuts.radius + MARGIN)
    whole = _all_atom(protein, centres, states)
    scissors, found = Scissors(whole), Harvest()
    usable = [
        r
        for r in range(len(protein.residues))
        if r not in whole.unusable and is_amino_acid(scissors, r)
    ]
    found.notes += [
        f"{protein.residues[r].label} left out: it {why}" for r, why in whole.unusable.items()
    ]
    pairs = _contacts(scissors, usable, cuts.contact) if "pairs" in cuts.kinds else []
    singles = usable if "residues" in cuts.kinds else []
    with bar("cutting", len(singles) + len(pairs) + len(centres), show=show) as advance:
        for r in singles:
            _residue(scissors, r, found)
            advance()
        for r, s in pairs:
            _pair(scissors, r, s, found)
            advance()
        for centre in centres:
            cut_pocket(scissors, centre, cuts.radius, found)
            advance()
    return finish(whole.protein, found)


def _all_atom(protein: Protein, centres: list[Centre], states: States) -> AllAtom:
    protein = close_chains(protein)
    chemistry = assign(protein, states)
    check_centres(protein, centres, chemistry)
    if chemistry.absent:
        whole = rebuild(protein, chemistry.absent)
        again = len(whole) > len(protein)
        protein, chemistry = whole, assign(whole, states) if again else chemistry
    for r, names in chemistry.absent.items():
        chemistry.unknown[r] = f"lacks {', '.join(names)}"
    _check_charges(protein, chemistry, states)
    return add_hydrogens(protein, chemistry)


def _check_charges(protein: Protein, chemistry: Chemistry, states: States) -> None:
    """Compare the charges that the user states with those that came out."""
    for r, residue in enumerate(protein.residues):
        stated = states.charges.get(residue.name)
        if stated is None or r in chemistry.unknown:
            continue
        atoms = [i for i in protein.atoms(r) if i in chemistry.wanted]
        charge = sum(chemistry.charge(i, chemistry.wanted[i]) for i in atoms)
        if charge != stated:
            raise InputError(
                f"charge {stated:+d} of {residue.label}, as stated",
                f"{charge:+d} from its bonds and hydrogens",
                f"Give --smiles {residue.name}=… with the charges it has, or correct the charge.",
            )


def _residue(scissors: Scissors, r: int, found: Harvest) -> None:
    residue = scissors.protein.residues[r]
    name = form(scissors, r)
    if not complete(scissors, r):
        found.left["residues next to a gap"] += 1
        return
    ends = {"n": scissors.before(r) is None, "c": scissors.after(r) is None}
    suffix = "".join(f"-{end}term" for end, is_end in ends.items() if is_end)
    tags = {"residue": name, **modification(scissors, r)}
    head = (f"{name}{suffix}", "protein-residue", tags)
    keep(scissors.piece([], [r]), head, residue.slug, found)


def _contacts(scissors: Scissors, usable: Sequence[int], contact: float) -> list[tuple[int, int]]:
    """Pairs of residues whose side chains touch and that are not neighbours along the chain."""
    protein = scissors.protein
    tips = [
        i
        for r in usable
        for i in protein.atoms(r)
        if protein.numbers[i] > 1
        and protein.names[i] not in CHAIN
        and (protein.names[i] != "CA" or protein.residues[r].name == "GLY")
    ]
    found = set()
    for a, b in space.tree(protein.positions[tips]).query_pairs(contact) if tips else ():
        r, s = sorted(int(protein.residue_of[tips[k]]) for k in (a, b))
        same = protein.residues[r].chain == protein.residues[s].chain
        if s - r > 2 or (r != s and not same):
            found.add((r, s))
    return sorted(found)


def _pair(scissors: Scissors, r: int, s: int, found: Harvest) -> None:
    protein = scissors.protein
    if not (complete(scissors, r) and complete(scissors, s)):
        found.left["pairs next to a gap"] += 1
        return
    names = "-".join(sorted((form(scissors, r), form(scissors, s))))
    member = f"{protein.residues[r].slug}-{protein.residues[s].slug}"
    head = (f"pair-{names}", "protein-pair", {"pair": names})
    keep(scissors.piece([], [r, s]), head, member, found)

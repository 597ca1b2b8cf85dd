"""Pockets: a ligand, cofactor or metal with all that is near it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from kshot.atoms.elements import atomic_numbers, symbol
from kshot.core.errors import InputError
from kshot.families.proteins import space
from kshot.families.proteins.chemistry import Chemistry
from kshot.families.proteins.cut import Scissors
from kshot.families.proteins.forms import complete, is_amino_acid
from kshot.families.proteins.harvest import Harvest, keep
from kshot.families.proteins.known import COFACTORS
from kshot.families.proteins.metals import CLUSTERS, METALS, REACH
from kshot.families.proteins.model import WATERS, Protein

EVERY_POCKET = "*"
CAPS = frozenset({"ACE", "NME", "NMA", "NH2"})
CHAIN = frozenset({"N", "C", "O", "OXT"})


class Centre(NamedTuple):
    """The middle of a pocket: atoms of one residue, by name."""

    name: str
    residue: int
    atoms: frozenset[str]

    def atoms_in(self, protein: Protein) -> list[int]:
        """Return their indices, which change when hydrogens come."""
        return [i for name, i in protein.named(self.residue).items() if name in self.atoms]


def find_centres(protein: Protein, names: Iterable[str]) -> list[Centre]:
    """Find the residue of each pocket's centre, and which of its atoms are the centre."""
    hets: list[Centre] = []
    for r, residue in enumerate(protein.residues):
        named = protein.named(r)
        atoms = frozenset(name for name, i in named.items() if protein.numbers[i] > 1)
        amino = {"N", "CA", "C"} <= atoms
        if residue.name not in WATERS | CAPS and not amino:
            hets.append(Centre(residue.name.lower(), r, atoms))
    found = []
    for name in names:
        if name == EVERY_POCKET:
            found += hets
            continue
        groups = [het for het in hets if het.name == name.lower()]
        number = atomic_numbers().get(name.capitalize())
        if not groups and number in METALS:
            metals = np.flatnonzero(protein.numbers == number)
            groups = [
                Centre(name.lower(), int(protein.residue_of[i]), frozenset({protein.names[i]}))
                for i in metals
            ]
        if not groups:
            known = ", ".join(sorted({het.name.upper() for het in hets})) or "none"
            raise InputError(
                f"a ligand or metal called {name}",
                f"{protein.source}, which has: {known}",
                "Choose one of these.",
            )
        found += groups
    return found


def check_centres(protein: Protein, centres: list[Centre], chemistry: Chemistry) -> None:
    """Raise if the chemistry of a pocket's centre is unknown."""
    for _, r, _ in centres:
        why = chemistry.unknown.get(r) or (
            f"lacks {', '.join(chemistry.absent[r])}" if r in chemistry.absent else ""
        )
        if why:
            raise InputError(
                "a pocket around a ligand of known chemistry",
                f"{protein.source}: {protein.residues[r].label} {why}",
                "State it, or leave this pocket out.",
            )


def crop(protein: Protein, centres: list[Centre], reach: float) -> tuple[Protein, list[Centre]]:
    """Keep only what is near the pockets."""
    points = protein.positions[[i for centre in centres for i in centre.atoms_in(protein)]]
    near = space.tree(protein.positions).query_ball_point(points, reach)
    kept = sorted({int(protein.residue_of[i]) for found in near for i in found})
    moved = [centre._replace(residue=kept.index(centre.residue)) for centre in centres]
    return protein.keeping(kept), moved


def cut_pocket(scissors: Scissors, centre: Centre, radius: float, found: Harvest) -> None:
    """Keep the centre and all residues, side chains, waters and ions near it."""
    protein = scissors.protein
    middle = centre.atoms_in(protein)
    atoms, residues = list(middle), []
    for r, names in _around(protein, middle, radius).items():
        if is_amino_acid(scissors, r) and not complete(scissors, r) and names & CHAIN:
            found.notes.append(
                f"{protein.residues[r].label}: the chain is broken beside it; a hydrogen closes it"
            )
        if r == centre.residue or not is_amino_acid(scissors, r):
            atoms += list(protein.atoms(r))
        elif names & CHAIN or protein.residues[r].name in {"GLY", "PRO"}:
            residues.append(r)
        else:  # the side chain alone, cut between its β carbon and the chain
            atoms += [i for i in protein.atoms(r) if protein.names[i] not in CHAIN | {"CA"}]
    atoms = [i for i in atoms if protein.numbers[i] > 1]
    tags = {"pocket": centre.name, **_kinds(protein, centre, middle)}
    head = (f"pocket-{centre.name}", "protein-pocket", tags)
    keep(scissors.piece(atoms, residues), head, protein.residues[centre.residue].slug, found)


def _kinds(protein: Protein, centre: Centre, middle: list[int]) -> dict[str, str]:
    """Tags: the metals of a centre, and whether it is a cofactor or another ligand."""
    metals = sorted({int(protein.numbers[i]) for i in middle} & METALS)
    tags = {"metal": "-".join(symbol(z).lower() for z in metals)} if metals else {}
    organic = any(protein.numbers[i] == 6 for i in middle)
    if centre.name.upper() in COFACTORS | set(CLUSTERS):
        tags["cofactor"] = centre.name
    elif organic:
        tags["ligand"] = centre.name
    return tags


def _around(protein: Protein, middle: list[int], radius: float) -> dict[int, set[str]]:
    """Names of the heavy atoms near a pocket's centre, by residue.

    Every metal in the pocket, in the centre or beside it, has all that binds it.
    """
    heavy = np.flatnonzero(protein.numbers > 1)
    tree = space.tree(protein.positions[heavy])
    near: dict[int, set[str]] = defaultdict(set)

    def collect(atoms: Iterable[int], reach: float) -> set[int]:
        found = {int(heavy[k]) for i in atoms for k in tree.query_ball_point(x[i], reach)}
        for i in found:
            near[int(protein.residue_of[i])].add(protein.names[i])
        return found

    x = protein.positions
    inside = collect(middle, radius) | set(middle)
    collect([i for i in inside if int(protein.numbers[i]) in METALS], REACH)
    return near

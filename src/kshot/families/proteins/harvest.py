"""Pieces become members of families, unless their caps do not come back by valence."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from kshot.core.errors import InputError
from kshot.families.family import Family, Member
from kshot.families.proteins.cut import Piece, valence_flaws
from kshot.families.proteins.model import Protein

LARGE = 250  # atoms from which a fragment is called large


@dataclass(frozen=True)
class Fragments:
    """What came out of one file.

    Args:
        families: one per residue type, pair of types, or kind of pocket.
        notes: everything met, chosen and left out, for the user.
    """

    families: tuple[Family, ...]
    notes: tuple[str, ...]


@dataclass
class Harvest:
    """Families under way."""

    members: dict[str, list[Member]] = field(default_factory=lambda: defaultdict(list))
    heads: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)


def keep(piece: Piece, head: tuple[str, str, dict[str, str]], member: str, found: Harvest) -> None:
    """Make a member of a piece, unless its caps do not come back by valence."""
    protein = piece.protein
    name, stratum, tags = head
    family = f"{protein.entry}-{name}"
    why = piece.unusable()
    if why:
        found.notes.append(f"{member} left out of {family}: {why}")
        return
    residues = {int(protein.residue_of[i]) for i in piece.atoms}
    chains = " ".join(sorted({protein.residues[r].chain for r in residues}))
    entities = {protein.residues[r].entity for r in residues}
    info: dict[str, str | int | float | bool] = {
        "pdb": protein.entry,
        "source": Path(protein.source).name,
        "residue": member,
        "chains": chains,
        "caps": len(piece.crossing()),
    }
    if entities - {""}:
        info["entities"] = " ".join(sorted(entities - {""}))
    structure = piece.structure(family, info)
    flaws = valence_flaws(structure, piece.bonds(), piece.formal_charges())
    if flaws:
        more = f" and {len(flaws) - 2} more" if len(flaws) > 2 else ""
        found.notes.append(f"{member} left out of {family}: {'; '.join(flaws[:2])}{more}")
        return
    note = f"{len(structure)} atoms" if len(structure) > LARGE else ""
    found.members[family].append(Member(member, structure, note=note))
    found.heads[family] = (stratum, tags)


def finish(protein: Protein, found: Harvest) -> Fragments:
    """Return the families, with all notes; raise if there are none."""
    notes = [
        *protein.notes,
        *found.notes,
        *(f"{n} {what} left out" for what, n in found.left.items()),
    ]
    families = []
    for name, members in found.members.items():
        stratum, tags = found.heads[name]
        chains = {c for m in members for c in str(m.structure.info["chains"]).split()}
        tags = {**tags, "pdb": protein.entry, "chains": " ".join(sorted(chains))}
        entities = {e for m in members for e in str(m.structure.info.get("entities", "")).split()}
        if len(entities) == 1:
            tags["entity"] = entities.pop()
        families.append(Family(name, stratum, _distinct(members), tags))
    if not families:
        raise InputError(
            "something to cut out",
            f"{protein.source}: nothing; {'; '.join(notes[:6]) or 'no amino acids'}",
            "See what was left out, and state what is unknown.",
        )
    return Fragments(tuple(families), tuple(dict.fromkeys(notes)))


def _distinct(members: list[Member]) -> tuple[Member, ...]:
    """Give members that share a name a number."""
    seen: Counter[str] = Counter()
    found = []
    for member in members:
        seen[member.name] += 1
        again = seen[member.name]
        found.append(
            dataclasses.replace(member, name=f"{member.name}-{again}") if again > 1 else member
        )
    return tuple(found)

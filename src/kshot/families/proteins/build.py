"""A structure file into families: capped residues, pairs in contact, pockets."""

from __future__ import annotations

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from kshot.atoms.elements import atomic_numbers
from kshot.core.bars import bar
from kshot.core.errors import InputError
from kshot.families.family import Family, Member
from kshot.families.proteins.chemistry import Chemistry, States, assign
from kshot.families.proteins.complete import rebuild
from kshot.families.proteins.cut import Piece, Scissors, valence_flaws
from kshot.families.proteins.forms import form, is_amino_acid
from kshot.families.proteins.hydrogens import AllAtom, add_hydrogens
from kshot.families.proteins.metals import METALS, REACH
from kshot.families.proteins.model import WATERS, Protein
from kshot.families.proteins.read import read_protein

Kind = Literal["residues", "pairs"]
MARGIN = 12.0  # Å around pockets within which a protein is kept where only pockets are wanted
LARGE = 250  # atoms from which a fragment is called large
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
class _Found:
    """Families under way."""

    members: dict[str, list[Member]] = field(default_factory=lambda: defaultdict(list))
    heads: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)


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
    centres = _centres(protein, cuts.pockets)
    if centres and not cuts.kinds:
        protein, centres = _crop(protein, centres, cuts.radius + MARGIN)
    whole = _all_atom(protein, centres, states)
    scissors, found = Scissors(whole), _Found()
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
            _pocket(scissors, centre, cuts.radius, found)
            advance()
    return _finish(whole.protein, found)


def _all_atom(protein: Protein, centres: list[Centre], states: States) -> AllAtom:
    chemistry = assign(protein, states)
    _check_centres(protein, centres, chemistry)
    if chemistry.absent:
        whole = rebuild(protein, chemistry.absent)
        again = len(whole) > len(protein)
        protein, chemistry = whole, assign(whole, states) if again else chemistry
    for r, names in chemistry.absent.items():
        chemistry.unknown[r] = f"lacks {', '.join(names)}"
    _check_charges(protein, chemistry, states)
    return add_hydrogens(protein, chemistry)


def _centres(protein: Protein, names: Iterable[str]) -> list[Centre]:
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


def _check_centres(protein: Protein, centres: list[Centre], chemistry: Chemistry) -> None:
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


def _crop(protein: Protein, centres: list[Centre], reach: float) -> tuple[Protein, list[Centre]]:
    """Keep only what is near the pockets."""
    from scipy.spatial import cKDTree

    points = protein.positions[[i for centre in centres for i in centre.atoms_in(protein)]]
    near = cKDTree(protein.positions).query_ball_point(points, reach)
    kept = sorted({int(protein.residue_of[i]) for found in near for i in found})
    moved = [centre._replace(residue=kept.index(centre.residue)) for centre in centres]
    return protein.keeping(kept), moved


def _residue(scissors: Scissors, r: int, found: _Found) -> None:
    residue = scissors.protein.residues[r]
    name = form(scissors, r)
    ends = {
        "n": scissors.before(r) is None and residue.name not in {"ACE"},
        "c": scissors.after(r) is None,
    }
    if (ends["n"] and not residue.first_of_chain) or (ends["c"] and not residue.last_of_chain):
        found.left["residues next to a gap"] += 1
        return
    suffix = "".join(f"-{end}term" for end, is_end in ends.items() if is_end)
    head = (f"{name}{suffix}", "protein-residue", {"residue": name})
    _keep(scissors.piece([], [r]), head, residue.slug, found)


def _contacts(scissors: Scissors, usable: Sequence[int], contact: float) -> list[tuple[int, int]]:
    """Pairs of residues whose side chains touch and that are not neighbours along the chain."""
    from scipy.spatial import cKDTree

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
    for a, b in cKDTree(protein.positions[tips]).query_pairs(contact) if tips else ():
        r, s = sorted(int(protein.residue_of[tips[k]]) for k in (a, b))
        same = protein.residues[r].chain == protein.residues[s].chain
        if s - r > 2 or (r != s and not same):
            found.add((r, s))
    return sorted(found)


def _pair(scissors: Scissors, r: int, s: int, found: _Found) -> None:
    protein = scissors.protein
    for residue in (r, s):
        ends = protein.residues[residue]
        gap = (scissors.before(residue) is None and not ends.first_of_chain) or (
            scissors.after(residue) is None and not ends.last_of_chain
        )
        if gap:
            found.left["pairs next to a gap"] += 1
            return
    names = "-".join(sorted((form(scissors, r), form(scissors, s))))
    member = f"{protein.residues[r].slug}-{protein.residues[s].slug}"
    head = (f"pair-{names}", "protein-pair", {"pair": names})
    _keep(scissors.piece([], [r, s]), head, member, found)


def _pocket(scissors: Scissors, centre: Centre, radius: float, found: _Found) -> None:
    protein = scissors.protein
    middle = centre.atoms_in(protein)
    atoms, residues = list(middle), []
    for r, names in _around(protein, middle, radius).items():
        if r == centre.residue or not is_amino_acid(scissors, r):
            atoms += list(protein.atoms(r))
        elif names & CHAIN or protein.residues[r].name in {"GLY", "PRO"}:
            residues.append(r)
        else:  # the side chain alone, cut between its β carbon and the chain
            atoms += [i for i in protein.atoms(r) if protein.names[i] not in CHAIN | {"CA"}]
    atoms = [i for i in atoms if protein.numbers[i] > 1]
    metals = {int(protein.numbers[i]) for i in middle} & METALS
    tags = {"metal" if metals else "ligand": centre.name, "pocket": centre.name}
    head = (f"pocket-{centre.name}", "protein-pocket", tags)
    _keep(scissors.piece(atoms, residues), head, protein.residues[centre.residue].slug, found)


def _around(protein: Protein, middle: list[int], radius: float) -> dict[int, set[str]]:
    """Names of the heavy atoms near a pocket's centre, by residue; all that metals bind."""
    from scipy.spatial import cKDTree

    heavy = np.flatnonzero(protein.numbers > 1)
    tree = cKDTree(protein.positions[heavy])
    near: dict[int, set[str]] = defaultdict(set)
    for i in middle:
        reach = max(radius, REACH) if int(protein.numbers[i]) in METALS else radius
        for k in tree.query_ball_point(protein.positions[i], reach):
            near[int(protein.residue_of[heavy[k]])].add(protein.names[heavy[k]])
    return near


def _keep(piece: Piece, head: tuple[str, str, dict[str, str]], member: str, found: _Found) -> None:
    """Make a member of a piece, unless its caps do not come back by valence."""
    protein = piece.protein
    name, stratum, tags = head
    family = f"{protein.entry}-{name}"
    why = piece.unusable()
    if why:
        found.notes.append(f"{member} left out of {family}: {why}")
        return
    chains = "".join(
        sorted({protein.residues[int(protein.residue_of[i])].chain for i in piece.atoms})
    )
    info: dict[str, str | int | float | bool] = {
        "pdb": protein.entry,
        "source": Path(protein.source).name,
        "residue": member,
        "chain": chains,
        "caps": len(piece.crossing()),
    }
    structure = piece.structure(family, info)
    flaws = valence_flaws(structure, piece.bonds(), piece.formal_charges())
    if flaws:
        more = f" and {len(flaws) - 2} more" if len(flaws) > 2 else ""
        found.notes.append(f"{member} left out of {family}: {'; '.join(flaws[:2])}{more}")
        return
    note = f"{len(structure)} atoms" if len(structure) > LARGE else ""
    found.members[family].append(Member(member, structure, note=note))
    found.heads[family] = (stratum, tags)


def _finish(protein: Protein, found: _Found) -> Fragments:
    notes = [
        *protein.notes,
        *found.notes,
        *(f"{n} {what} left out" for what, n in found.left.items()),
    ]
    families = []
    for name, members in found.members.items():
        stratum, tags = found.heads[name]
        tags = {**tags, "pdb": protein.entry}
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

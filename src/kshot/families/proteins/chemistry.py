"""What a protein's atoms are bound to, how many hydrogens each wants, and its formal charge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from kshot.atoms.elements import elements
from kshot.families.proteins import space
from kshot.families.proteins.known import known_smiles
from kshot.families.proteins.metals import CLUSTERS, IONS, METALS, NAMED, Ion
from kshot.families.proteins.model import WATERS, Protein
from kshot.families.proteins.standard import ALIASES, CANONICAL, Template, standard, water
from kshot.families.proteins.templates import (
    close_pairs,
    describe,
    from_hydrogens,
    from_smiles,
    organic_atoms,
)
from kshot.families.proteins.titration import Surroundings, shifts

LINK_SLACK = 0.25  # Å beyond covalent radii: a bond between residues
DISULFIDE = 2.5  # Å
PEPTIDE = 1.9  # Å


@dataclass(frozen=True)
class States:
    """What the user states about residues whose chemistry a file does not tell.

    Args:
        ph: of the solution.
        smiles: by residue name, with the charges and hydrogens it really has.
        charges: by residue name: what must come out; another charge is an error.
        ions: oxidation and spin states by element symbol or residue name.
        components: templates read from a dictionary (CCD).
    """

    ph: float = 7.0
    smiles: Mapping[str, str] = field(default_factory=dict)
    charges: Mapping[str, int] = field(default_factory=dict)
    ions: Mapping[str, Ion] = field(default_factory=dict)
    components: Mapping[str, Template] = field(default_factory=dict)


@dataclass(frozen=True)
class Chemistry:
    """The chemical graph over a protein's heavy atoms.

    Args:
        bonds: pairs of heavy atoms (lower index first) with the bond's order.
        neutral: hydrogens of each heavy atom where its charge is `base`.
        wanted: hydrogens that each heavy atom shall have.
        base: formal charge of each heavy atom with `neutral` hydrogens.
        ions: metals and lone anions, by atom.
        unknown: residues that cannot be used, and why.
        absent: heavy atoms missing from residues of known chemistry, by residue.
        notes: what was decided, for the user.
    """

    bonds: dict[tuple[int, int], int]
    neutral: dict[int, int]
    wanted: dict[int, int]
    base: dict[int, int]
    ions: dict[int, Ion]
    unknown: dict[int, str]
    absent: dict[int, list[str]]
    notes: list[str]

    def charge(self, atom: int, hydrogens: int) -> int:
        """Return the formal charge of a heavy atom that has so many hydrogens."""
        if atom in self.ions:
            return self.ions[atom].charge
        return self.base[atom] + hydrogens - self.neutral[atom]


def assign(protein: Protein, states: States) -> Chemistry:
    """Find templates, bonds within and between residues, and the hydrogens wanted."""
    found = Chemistry({}, {}, {}, {}, {}, {}, {}, [])
    templates: dict[int, Template] = {}
    for r in range(len(protein.residues)):
        template = _template(protein, r, states, found)
        if template is not None:
            templates[r] = template
    for i, j in links(protein):
        if i not in found.ions and j not in found.ions:
            found.bonds[i, j] = 1
    bound = Counter(end for pair in found.bonds for end in pair)
    for r, template in templates.items():
        _within(protein, r, template, found, bound)
    _untangle(protein, found)
    near = Surroundings(protein)
    for r, template in templates.items():
        _hydrogens(protein, r, template, states, found, bound, near)
    _note_links(protein, found)
    return found


def _template(protein: Protein, r: int, states: States, found: Chemistry) -> Template | None:
    """Find the template of one residue, or say why there is none; ions are set aside."""
    name = protein.residues[r].name
    _ions(protein, r, states, found)
    atoms = [i for i in organic_atoms(protein, r) if i not in found.ions]
    if not atoms:
        return None
    if name in WATERS and len(atoms) == 1:
        return water(protein.names[atoms[0]])
    template = standard(name)
    if name in states.smiles or template is None:
        template = _nonstandard(protein, r, states, found)
    if template is None:
        return None
    extra = {protein.names[i] for i in atoms} - set(template.numbers)
    if extra:
        found.unknown[r] = f"has atoms that its chemistry does not know: {', '.join(sorted(extra))}"
        return None
    missing = sorted(set(template.numbers) - template.optional - set(protein.named(r)))
    if missing:
        found.absent[r] = missing
    return template


def _nonstandard(protein: Protein, r: int, states: States, found: Chemistry) -> Template | None:
    residue = protein.residues[r]
    if residue.name in states.components and residue.name not in states.smiles:
        return states.components[residue.name]
    smiles = states.smiles.get(residue.name) or known_smiles(residue.name)
    if smiles is None:
        template = from_hydrogens(protein, r, states.charges.get(residue.name))
        if template is not None:
            charge = sum(template.charges.values())
            found.notes.append(
                f"{residue.label}: charge {charge:+d} from its hydrogens and bond lengths "
                f"(--charge {residue.name}=… or --smiles to state it)"
            )
            return template
        found.unknown[r] = (
            f"has unknown chemistry ({describe(protein, r)}): give --smiles {residue.name}=… "
            "(with its charges) or --ccd FILE"
        )
        return None
    template = from_smiles(smiles, protein, r)
    if template is None:
        found.unknown[r] = (
            f"has heavy atoms ({describe(protein, r)}) that do not fit {smiles}: atoms are "
            f"missing or wrong; give --smiles {residue.name}=… or --ccd FILE"
        )
    elif residue.name not in states.smiles:
        found.notes.append(f"{residue.label}: taken as {smiles}")
    return template


def _ions(protein: Protein, r: int, states: States, found: Chemistry) -> None:
    """Set aside metals, and anions that are bound to nothing but metals."""
    residue = protein.residues[r]
    heavy = [i for i in protein.atoms(r) if protein.numbers[i] > 1]
    metals = [i for i in heavy if int(protein.numbers[i]) in METALS]
    organic = organic_atoms(protein, r)
    alone = set(organic) - {i for pair in close_pairs(protein, organic) for i in pair}
    lone = [i for i in alone if int(protein.numbers[i]) in IONS and (metals or len(heavy) == 1)]
    if residue.name in WATERS or not metals + lone:
        return
    if residue.name in CLUSTERS and residue.name not in states.ions:
        _cluster(residue.name, metals, lone, found)
        found.notes.append(
            f"{residue.label}: cluster charge {CLUSTERS[residue.name].charge:+d}, all spins up"
        )
        return
    for i in metals + lone:
        ion = _ion(protein, i, residue.name, states)
        if ion is None:
            found.unknown[r] = f"has an ion of unknown charge: give --ion {residue.name}=CHARGE"
            return
        found.ions[i] = ion
        if i in metals:
            found.notes.append(
                f"{residue.label}: {protein.names[i]} taken as {ion.charge:+d}, "
                f"multiplicity {ion.unpaired + 1} (--ion to change)"
            )


def _ion(protein: Protein, atom: int, name: str, states: States) -> Ion | None:
    from kshot.atoms.elements import symbol

    number = int(protein.numbers[atom])
    metal = number in METALS
    element = symbol(number).upper()
    stated = states.ions.get(element) or (states.ions.get(name) if metal else None)
    if stated is not None:
        return stated
    single = metal and NAMED.get(name)
    return single or IONS.get(number)


def _cluster(name: str, metals: list[int], anions: list[int], found: Chemistry) -> None:
    """Spread a cluster's charge and unpaired electrons over its metals."""
    whole = CLUSTERS[name]
    found.ions.update(dict.fromkeys(anions, Ion(-2)))
    charge = whole.charge + 2 * len(anions)
    for k, i in enumerate(metals):
        share = [n // len(metals) + (k < n % len(metals)) for n in (charge, whole.unpaired)]
        found.ions[i] = Ion(*share)


def links(protein: Protein) -> list[tuple[int, int]]:
    """Return the bonds between residues: peptide bonds, disulfides, and any other at its distance.

    Metals and waters have none: they are bound, but not covalently.
    """
    radii = elements().radii
    heavy = np.array(
        [
            i
            for i in range(len(protein))
            if protein.numbers[i] > 1
            and int(protein.numbers[i]) not in METALS
            and protein.residues[protein.residue_of[i]].name not in WATERS
        ],
        int,
    )
    if not len(heavy):
        return []
    found = []
    for a, b in space.tree(protein.positions[heavy]).query_pairs(DISULFIDE):
        i, j = sorted((int(heavy[a]), int(heavy[b])))
        if protein.residue_of[i] == protein.residue_of[j]:
            continue
        reach = radii[protein.numbers[i]] + radii[protein.numbers[j]] + LINK_SLACK
        names = (protein.names[i], protein.names[j])
        if names in {("C", "N"), ("N", "C")}:
            reach = PEPTIDE
        elif (protein.numbers[[i, j]] == 16).all():
            reach = DISULFIDE
        if np.linalg.norm(protein.positions[i] - protein.positions[j]) < reach:
            found.append((i, j))
    return sorted(found)


def _within(
    protein: Protein, r: int, template: Template, found: Chemistry, bound: Mapping[int, int]
) -> None:
    """Bonds inside a residue, and each atom's hydrogens once its other bonds are counted."""
    named = protein.named(r)
    freed = Counter[str]()
    for (a, b), order in template.bonds.items():
        if a in named and b in named:
            i, j = sorted((named[a], named[b]))
            found.bonds[i, j] = order
        elif a in named or b in named:
            freed[a if a in named else b] += order
    if r in found.absent:
        freed.clear()  # it will be completed or left out; nothing is to be filled with hydrogen
    for name in template.numbers:
        if name in named:
            i = named[name]
            free = template.hydrogens[name] + freed[name] - bound.get(i, 0)
            # A bond may also stand where the template has a charge: N+ of a Schiff base, S- of SSG.
            charge = template.charges.get(name, 0)
            if free < 0 and charge < 0:
                free, charge = free + 1, charge + 1
            found.neutral[i], found.base[i] = free, charge


def _untangle(protein: Protein, found: Chemistry) -> None:
    """Drop bonds between residues that an atom has no valence for: the residues clash."""
    for i, free in found.neutral.items():
        if free >= 0:
            continue
        found.neutral[i] = 0
        for pair in [pair for pair in found.bonds if i in pair]:
            a, b = (int(protein.residue_of[k]) for k in pair)
            if a != b:
                del found.bonds[pair]
                for r, s in ((a, b), (b, a)):
                    found.unknown[r] = f"is too close to {protein.residues[s].label}"


def _hydrogens(
    protein: Protein,
    r: int,
    template: Template,
    states: States,
    found: Chemistry,
    bound: Mapping[int, int],
    near: Surroundings,
) -> None:
    """How many hydrogens each atom shall have: as in the file where it has them, else by rule."""
    named = protein.named(r)
    heavy = {name: i for name, i in named.items() if i in found.neutral}
    rule = dict(template.shifts)
    note = ""
    kind = ALIASES.get(template.name, template.name)
    if kind in CANONICAL:
        change, note = shifts(protein, r, kind, dict(bound), states.ph, near)
        rule |= change
    here = protein.residues[r]
    carried = parents(protein, r)
    wanted = {
        name: max(found.neutral[i] + (0 if bound.get(i) else rule.get(name, 0)), 0)
        for name, i in heavy.items()
    }
    present = {name: len(carried.get(i, [])) for name, i in heavy.items()}
    if _explicit(present, wanted):
        polar = {name for name, i in heavy.items() if protein.numbers[i] != 6}
        changed = sorted(n for n in polar if present[n] != wanted[n] and not bound.get(heavy[n]))
        wanted |= {name: present[name] for name in polar}
        if changed:
            found.notes.append(f"{here.label}: protonated as in the file ({', '.join(changed)})")
    elif note:
        found.notes.append(note)
    found.wanted.update({heavy[name]: count for name, count in wanted.items()})


def parents(protein: Protein, residue: int) -> dict[int, list[int]]:
    """Return the hydrogens of each heavy atom in a residue; those too far from any are left out."""
    atoms = protein.atoms(residue)
    heavy = [i for i in atoms if protein.numbers[i] > 1]
    found: dict[int, list[int]] = {}
    if not heavy:
        return found
    for h in atoms:
        if protein.numbers[h] == 1:
            distances = np.linalg.norm(protein.positions[heavy] - protein.positions[h], axis=1)
            nearest = int(distances.argmin())
            if distances[nearest] < (1.6 if protein.numbers[heavy[nearest]] > 10 else 1.3):
                found.setdefault(heavy[nearest], []).append(h)
    return found


def _explicit(present: Mapping[str, int], wanted: Mapping[str, int]) -> bool:
    """Whether the file has a residue's hydrogens, and not only some of them."""
    have, want = sum(present.values()), sum(wanted.values())
    return have > 0 and have >= max(want - 2, want / 2)


def _note_links(protein: Protein, found: Chemistry) -> None:
    for i, j in found.bonds:
        a, b = protein.residue_of[i], protein.residue_of[j]
        if a != b and {protein.names[i], protein.names[j]} != {"C", "N"}:
            found.notes.append(f"bond {protein.label(i)} – {protein.label(j)}")

"""Templates of non-standard residues: from SMILES or from a dictionary of components (CCD)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atoms.elements import elements, symbol
from kshot.core.errors import InputError
from kshot.families.proteins.metals import METALS
from kshot.families.proteins.model import Protein
from kshot.families.proteins.standard import Template

SLACK = 0.35  # Å beyond the sum of covalent radii within which atoms of one residue are bonded
ACID_PKA = {6: 4.0, 15: 6.5, 16: 1.0}  # of an O-H on an atom that also has a double-bonded oxygen
AMINE_PKA = 9.5
GUESSES = (0, -1, 1, -2, 2, -3, 3, -4)  # charges tried for a ligand that nobody states one of


def organic_atoms(protein: Protein, residue: int) -> list[int]:
    """Return the heavy atoms of a residue that are no metals."""
    return [
        i
        for i in protein.atoms(residue)
        if protein.numbers[i] > 1 and int(protein.numbers[i]) not in METALS
    ]


def close_pairs(protein: Protein, atoms: list[int]) -> list[tuple[int, int]]:
    """Return the pairs of atoms that stand at a bond's distance."""
    radii = elements().radii
    found = []
    for a, i in enumerate(atoms):
        for j in atoms[:a]:
            reach = radii[protein.numbers[i]] + radii[protein.numbers[j]] + SLACK
            if np.linalg.norm(protein.positions[i] - protein.positions[j]) < reach:
                found.append((j, i))
    return found


def from_smiles(smiles: str, protein: Protein, residue: int) -> Template | None:
    """Return the template that a SMILES gives to a residue's atoms; None if they do not fit.

    Args:
        smiles: with charges and hydrogens as wanted. It may have atoms that the residue lacks if
            these are oxygens that leave when the residue is bound to another.
        protein: where the residue is.
        residue: its index.

    Raises:
        InputError: the SMILES cannot be read.
    """
    from rdkit import Chem

    wanted = Chem.MolFromSmiles(smiles)
    if wanted is None:
        raise InputError("a SMILES", repr(smiles), "Correct it; RDKit could not read it.")
    Chem.Kekulize(wanted, clearAromaticFlags=True)
    atoms = organic_atoms(protein, residue)
    place = _plain(wanted).GetSubstructMatch(_skeleton(protein, atoms))
    if len(place) != len(atoms):
        return None
    names = {at: protein.names[i] for at, i in zip(place, atoms, strict=True)}
    for atom in wanted.GetAtoms():
        if atom.GetIdx() not in names:
            if atom.GetAtomicNum() != 8 or atom.GetDegree() != 1:
                return None
            names[atom.GetIdx()] = f"leaving {atom.GetIdx()}"
    return _template(wanted, names, protein.residues[residue].name)


def _skeleton(protein: Protein, atoms: list[int]) -> Any:  # noqa: ANN401
    from rdkit import Chem

    mol = Chem.RWMol()
    at = {i: mol.AddAtom(Chem.Atom(int(protein.numbers[i]))) for i in atoms}
    for i, j in close_pairs(protein, atoms):
        mol.AddBond(at[i], at[j], Chem.BondType.SINGLE)
    return mol.GetMol()


def _plain(wanted: Any) -> Any:  # noqa: ANN401
    from rdkit import Chem

    mol = Chem.RWMol()
    for atom in wanted.GetAtoms():
        mol.AddAtom(Chem.Atom(atom.GetAtomicNum()))
    for bond in wanted.GetBonds():
        mol.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), Chem.BondType.SINGLE)
    return mol.GetMol()


def _template(wanted: Any, names: dict[int, str], residue: str) -> Template:  # noqa: ANN401
    bonds = {
        (names[bond.GetBeginAtomIdx()], names[bond.GetEndAtomIdx()]): round(
            bond.GetBondTypeAsDouble()
        )
        for bond in wanted.GetBonds()
    }
    numbered = [(names[atom.GetIdx()], atom) for atom in wanted.GetAtoms()]
    return Template(
        residue,
        bonds,
        {name: atom.GetAtomicNum() for name, atom in numbered},
        {name: q for name, atom in numbered if (q := atom.GetFormalCharge())},
        {name: atom.GetTotalNumHs() for name, atom in numbered},
        frozenset(name for name in names.values() if name.startswith("leaving")),
    )


def from_hydrogens(protein: Protein, residue: int, charge: int | None) -> Template | None:
    """Return the template that a ligand's own hydrogens give it; None if they do not.

    Bonds come from distances, and their orders from valences, which need the charge: the one
    stated, or else the one nearest to zero that leaves the fewest charged atoms.

    Args:
        protein: where it is.
        residue: a ligand that has all its hydrogens in the file.
        charge: as stated by the user; None if nobody does.
    """
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    heavy = organic_atoms(protein, residue)
    atoms = [*heavy, *(i for i in protein.atoms(residue) if protein.numbers[i] == 1)]
    if len(atoms) == len(heavy):
        return None
    lines = [
        f"{symbol(int(protein.numbers[i]))} {x:.4f} {y:.4f} {z:.4f}"
        for i in atoms
        for x, y, z in [protein.positions[i]]
    ]
    fits = []
    for guess in GUESSES if charge is None else (charge,):
        mol = Chem.MolFromXYZBlock("\n".join([str(len(lines)), "", *lines]))
        try:
            rdDetermineBonds.DetermineBonds(mol, charge=guess, embedChiral=False)
            Chem.Kekulize(mol, clearAromaticFlags=True)
        except (ValueError, RuntimeError):
            continue
        charged = sum(atom.GetFormalCharge() != 0 for atom in mol.GetAtoms())
        if not any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
            fits.append((charged, abs(guess), guess, mol))
    if not fits:
        return None
    mol = Chem.RemoveAllHs(min(fits, key=lambda fit: fit[:3])[3], sanitize=False)
    names = {k: protein.names[i] for k, i in enumerate(heavy)}
    return _template(mol, names, protein.residues[residue].name)


def read_components(path: str | Path, ph: float) -> dict[str, Template]:
    """Read a dictionary of components: the PDB's CCD, or a part of it, or a Refmac dictionary.

    The CCD writes acids with their hydrogens and amines without: both are titrated to ``ph``.

    Args:
        path: an mmCIF file with one block per component.
        ph: acids below and amines above it are charged.
    """
    import gemmi

    try:
        blocks = gemmi.cif.read(str(path))
    except (RuntimeError, ValueError, OSError) as error:
        raise InputError("an mmCIF dictionary", f"{path}: {error}", "Check the file.") from error
    found = {}
    for block in blocks:
        if block.find_values("_chem_comp_atom.atom_id"):
            component = gemmi.make_chemcomp_from_block(block)
            leaving = block.find("_chem_comp_atom.", ["atom_id", "?pdbx_leaving_atom_flag"])
            left = {row.str(0) for row in leaving if row.has(1) and row.str(1) == "Y"}
            found[component.name] = _component(component, left, ph)
    return found


def _component(component: Any, leaving: set[str], ph: float) -> Template:  # noqa: ANN401
    orders = {"SINGLE": 1, "DOUBLE": 2, "TRIPLE": 3}
    numbers = {atom.id: atom.el.atomic_number for atom in component.atoms if not atom.is_hydrogen()}
    charges = {atom.id: round(atom.charge) for atom in component.atoms if round(atom.charge)}
    hydrogens = dict.fromkeys(numbers, 0)
    bonds: dict[tuple[str, str], int] = {}
    for bond in component.rt.bonds:
        a, b = bond.id1.atom, bond.id2.atom
        if a in numbers and b in numbers:
            bonds[a, b] = orders.get(bond.type.name.upper(), 1)
        else:
            hydrogens[a if a in numbers else b] += 1
    shifts = _titrated(numbers, bonds, hydrogens, charges, ph)
    optional = frozenset(leaving & set(numbers))
    return Template(component.name, bonds, numbers, charges, hydrogens, optional, shifts)


def _titrated(
    numbers: Mapping[str, int],
    bonds: Mapping[tuple[str, str], int],
    hydrogens: Mapping[str, int],
    charges: Mapping[str, int],
    ph: float,
) -> dict[str, int]:
    """Hydrogens that acids lose and amines gain at a pH."""
    beside: dict[str, list[tuple[str, int]]] = {name: [] for name in numbers}
    for (a, b), order in bonds.items():
        beside[a].append((b, order))
        beside[b].append((a, order))

    def is_acyl(name: str) -> bool:
        return any(order == 2 and numbers[other] == 8 for other, order in beside[name])

    shifts = {}
    for name, number in numbers.items():
        if number == 8 and hydrogens[name] and len(beside[name]) == 1:
            centre = beside[name][0][0]
            pka = ACID_PKA.get(numbers[centre])
            if pka is not None and is_acyl(centre) and ph > pka:
                shifts[name] = -1
        if number == 7 and not charges.get(name) and beside[name] and ph < AMINE_PKA:
            saturated = all(
                numbers[other] == 6 and all(order == 1 for _, order in beside[other])
                for other, _ in beside[name]
            )
            if saturated:
                shifts[name] = 1
    return shifts


def describe(protein: Protein, residue: int) -> str:
    """Return the heavy-atom formula of a residue, for messages."""
    kinds, counts = np.unique(protein.numbers[list(protein.atoms(residue))], return_counts=True)
    return "".join(f"{symbol(int(z))}{n}" for z, n in zip(kinds, counts, strict=True))

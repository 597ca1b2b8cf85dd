"""Heavy atoms that a file lacks, rebuilt by PDBFixer; whole residues are never made up."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from kshot.atoms.elements import symbol
from kshot.core.registry import missing_extra
from kshot.families.proteins.model import Protein
from kshot.families.proteins.standard import CANONICAL, ELEMENTS

CARBOXYLATE = 1.25  # Å
CLASH = 1.6  # Å: an atom of another residue there means that the chain goes on


def rebuild(protein: Protein, absent: dict[int, list[str]]) -> Protein:
    """Return the protein with the missing heavy atoms of amino acids added.

    Args:
        protein: as read.
        absent: names of missing atoms, by residue; residues other than the twenty amino acids are
            left as they are.

    Raises:
        MissingExtraError: atoms are missing and PDBFixer is not installed.
    """
    absent = {r: names for r, names in absent.items() if protein.residues[r].name in CANONICAL}
    if not absent:
        return protein
    built = _fixed(protein, absent)
    atoms, notes = [], []
    for r, wanted in absent.items():
        new = [name for name in wanted if (r, name) in built]
        atoms += [(r, name, built[r, name]) for name in new]
        notes.append(f"{protein.residues[r].label}: missing atoms rebuilt ({', '.join(new)})")
    return _inserted(protein, atoms, notes) if atoms else protein


def close_chains(protein: Protein) -> Protein:
    """Return the protein with the second carboxylate oxygen of chain ends that lack it.

    It is placed in the plane of the carboxylate, 1.25 Å from its carbon.
    """
    built = []
    for r, residue in enumerate(protein.residues):
        named = protein.named(r)
        if not residue.last_of_chain or "OXT" in named or not {"CA", "C", "O"} <= set(named):
            continue
        carbon, alpha, oxygen = (protein.positions[named[name]] for name in ("C", "CA", "O"))
        arms = [(x - carbon) / np.linalg.norm(x - carbon) for x in (alpha, oxygen)]
        out = -(arms[0] + arms[1])
        place = carbon + CARBOXYLATE * out / max(float(np.linalg.norm(out)), 0.1)
        taken = np.delete(protein.positions, list(named.values()), axis=0)
        if not len(taken) or np.linalg.norm(taken - place, axis=1).min() > CLASH:
            built.append((r, place))
    if not built:
        return protein
    notes = [f"{protein.residues[r].label}: OXT of the chain's end added" for r, _ in built]
    return _inserted(protein, [(r, "OXT", x) for r, x in built], notes)


def _inserted(
    protein: Protein, atoms: list[tuple[int, str, np.ndarray]], notes: list[str]
) -> Protein:
    """Return the protein with further heavy atoms, each at the end of its residue."""
    owners = np.concatenate([protein.residue_of, np.array([r for r, _, _ in atoms], np.int64)])
    numbers = np.array([ELEMENTS[name[0]] for _, name, _ in atoms], np.int64)
    names = [*protein.names, *(name for _, name, _ in atoms)]
    order = np.argsort(owners, kind="stable")
    return Protein(
        protein.source,
        protein.entry,
        tuple(names[i] for i in order),
        np.concatenate([protein.numbers, numbers])[order],
        np.concatenate([protein.positions, np.array([x for _, _, x in atoms])])[order],
        owners[order],
        protein.residues,
        (*protein.notes, *notes),
    )


def _fixed(protein: Protein, absent: dict[int, list[str]]) -> dict[tuple[int, str], Any]:
    """Run PDBFixer on the residues around the gaps; return positions in Å of the atoms wanted."""
    try:
        import pdbfixer
    except ModuleNotFoundError as error:
        what = f"rebuilding missing atoms of {protein.source}"
        raise missing_extra(what, error.name, "proteins") from error
    # PDBFixer reads PDB: residues are renumbered so that any chain name and number will do.
    fixer = pdbfixer.PDBFixer(pdbfile=io.StringIO(pdb_text(protein)))
    fixer.missingResidues = {}
    fixer.findMissingAtoms()
    fixer.missingTerminals = {}
    numbered = {residue: int(residue.id) for residue in fixer.topology.residues()}
    fixer.missingAtoms = {
        residue: [atom for atom in atoms if atom.name in absent.get(numbered[residue], ())]
        for residue, atoms in fixer.missingAtoms.items()
        if numbered[residue] in absent
    }
    fixer.addMissingAtoms(seed=1)
    return {
        (int(residue.id), atom.name): np.array(fixer.positions[atom.index]._value) * 10
        for residue in fixer.topology.residues()
        for atom in residue.atoms()
        if atom.name in absent.get(int(residue.id), ())
    }


def pdb_text(protein: Protein) -> str:
    """Return heavy atoms in PDB format, one chain a stretch, residues numbered by their index."""
    lines, serial, chain = [], 0, 0
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    for r, residue in enumerate(protein.residues):
        if r and residue.chain != protein.residues[r - 1].chain:
            lines.append("TER")
            chain += 1
        for i in protein.atoms(r):
            if protein.numbers[i] == 1:
                continue
            serial += 1
            element = symbol(int(protein.numbers[i]))
            name = protein.names[i] if len(element) == 2 else f" {protein.names[i]}"
            x, y, z = protein.positions[i]
            lines.append(
                f"ATOM  {serial % 100000:5d} {name:<4.4s} {residue.name:>3.3s} "
                f"{letters[chain % 26]}{r % 10000:4d}    {x:8.3f}{y:8.3f}{z:8.3f}"
                f"  1.00  0.00          {element.upper():>2s}"
            )
    return "\n".join([*lines, "END", ""])

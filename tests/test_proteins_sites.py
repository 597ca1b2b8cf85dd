"""Cofactors, clusters and sugars: charges and groups that a table or a careless cut gets wrong."""

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Chem import AllChem

from kshot.families.proteins import Cuts, Ion, States, fragment_protein
from kshot.families.proteins.known import LIGANDS, MODIFIED
from protein_models import line, peptide, write

ONLY = frozenset()


def laid_out(smiles, name, number=1, chain="L", shift=(0.0, 0.0, 40.0), seed=1, hydrogens=False):
    """PDB lines of a ligand, and its RDKit positions."""
    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=seed) == 0
    AllChem.UFFOptimizeMolecule(mol)
    x = mol.GetConformer().GetPositions() + shift
    heavy = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() > 1]
    lines = []
    for i in heavy:
        z = mol.GetAtomWithIdx(i).GetSymbol()
        lines.append(line(i + 1, f"{z}{i}", name, chain, number, x[i], z, "HETATM"))
    return lines, mol, x


@pytest.mark.parametrize("name", sorted(set(LIGANDS) - {"HEM"}))
def test_every_known_ligand_comes_out_with_its_charge(tmp_path, name):
    lines, mol, _ = laid_out(LIGANDS[name][0], name)
    found = fragment_protein(write(tmp_path / "l.pdb", lines), Cuts(ONLY, (name,)))
    structure = found.families[0].members[0].structure
    assert structure.charge == Chem.GetFormalCharge(mol)
    assert len(structure) == mol.GetNumAtoms()
    assert sorted(structure.numbers) == sorted(a.GetAtomicNum() for a in mol.GetAtoms())


@pytest.mark.parametrize("name", sorted(MODIFIED))
def test_every_known_residue_is_an_aldehyde_of_an_amino_acid(name):
    mol = Chem.MolFromSmiles(MODIFIED[name][0])
    assert mol.HasSubstructMatch(Chem.MolFromSmarts("N[CX4]C=O"))


@pytest.mark.parametrize(
    ("states", "charge", "multiplicity"),
    [(States(), -2, 5), (States(ions={"FE": Ion(3, 1)}), -1, 2)],
)
def test_haem_keeps_its_iron_and_its_charge(tmp_path, states, charge, multiplicity):
    """Porphyrin dianion, two propionates, Fe(II) or Fe(III)."""
    smiles = LIGANDS["HEM"][0]
    lines, mol, x = laid_out(smiles, "HEM")
    nitrogens = [a.GetIdx() for a in mol.GetAtoms() if a.GetAtomicNum() == 7]
    lines.append(line(99, "FE", "HEM", "L", 1, x[nitrogens].mean(0), "FE", "HETATM"))
    found = fragment_protein(write(tmp_path / "h.pdb", lines), Cuts(ONLY, ("HEM",)), states)
    (haem,) = found.families
    structure = haem.members[0].structure
    assert (structure.charge, structure.multiplicity) == (charge, multiplicity)
    assert structure.numbers.tolist().count(1) == 30
    assert (haem.tags["metal"], haem.tags["cofactor"]) == ("fe", "hem")


@pytest.mark.parametrize(("stated", "charge", "multiplicity"), [({}, 2, 11), (1, 0, 9)])
def test_iron_sulfur_cluster(tmp_path, stated, charge, multiplicity):
    """[2Fe-2S] has a table of its own; stated states of its irons go before it."""
    corners = {"FE1": (1.35, 0, 0), "FE2": (-1.35, 0, 0), "S1": (0, 1.75, 0), "S2": (0, -1.75, 0)}
    lines = [
        line(k, name, "FES", "L", 1, x, name[:-1], "HETATM")
        for k, (name, x) in enumerate(corners.items(), 1)
    ]
    states = States(ions={"FES": Ion(2, 4)}) if stated else States()
    found = fragment_protein(write(tmp_path / "f.pdb", lines), Cuts(ONLY, ("FES",)), states)
    structure = found.families[0].members[0].structure
    assert (structure.charge, structure.multiplicity) == (charge, multiplicity)


def test_a_sugar_on_asparagine_stays_on_it(tmp_path):
    """ACE-Asn(GlcNAc)-NME: the glycosidic nitrogen is an amide, and no bond of the sugar is cut."""
    text = "CC(=O)N[C@@H](CC(=O)NC1OC(CO)C(O)C(O)C1NC(C)=O)C(=O)NC"
    mol = Chem.AddHs(Chem.MolFromSmiles(text))
    assert AllChem.EmbedMolecule(mol, randomSeed=2) == 0
    x = mol.GetConformer().GetPositions()
    names = [
        *("CH3", "C", "O", "N", "CA", "CB", "CG", "OD1", "ND2"),
        *("C1", "O5", "C5", "C6", "O6", "C4", "O4", "C3", "O3", "C2", "N2", "C7", "C8", "O7"),
        *("C", "O", "N", "C"),
    ]
    where = [("ACE", "A", 1)] * 3 + [("ASN", "A", 2)] * 6 + [("NAG", "B", 1)] * 14
    where += [("ASN", "A", 2)] * 2 + [("NME", "A", 3)] * 2
    rows = [
        line(k + 1, name, *where[k], x[k], name[0], "ATOM" if where[k][1] == "A" else "HETATM")
        for k, name in enumerate(names)
    ]
    rows.sort(key=lambda row: (row[21], int(row[22:26])))
    found = fragment_protein(write(tmp_path / "n.pdb", rows))
    linked = next(f for f in found.families if f.name == "n-asn-linked")
    structure = linked.members[0].structure
    assert structure.charge == 0
    assert len(structure) == mol.GetNumAtoms()
    assert linked.tags["modification"] == "asn-linked"


def test_a_ring_is_never_opened(tmp_path):
    """A pocket that touches only the tip of a tryptophan has the whole indole."""
    rows = peptide("GWG")
    tip = next(r for r in rows if r[12:16].strip() == "CH2")
    at = np.array([float(tip[k : k + 8]) for k in (30, 38, 46)])
    rows.append(line(900, "NA", "NA", "L", 1, at + np.array([0, 0, 3.0]), "NA", "HETATM"))
    found = fragment_protein(write(tmp_path / "w.pdb", rows), Cuts(ONLY, ("NA",), radius=3.1))
    structure = found.families[0].members[0].structure
    assert structure.charge == 1
    assert structure.numbers.tolist().count(7) == 1  # the indole's
    assert structure.numbers.tolist().count(6) == 9  # and its β carbon, a methyl now


def test_a_wrong_parity_is_left_out_and_said(tmp_path):
    states = States(ions={"NA": Ion(2, 0)})
    rows = [*peptide("GAG"), line(900, "NA", "NA", "L", 1, (0, 0, 40), "NA", "HETATM")]
    cuts = Cuts(frozenset({"residues"}), ("NA",))
    found = fragment_protein(write(tmp_path / "p.pdb", rows), cuts, states)
    assert any("9 electrons with multiplicity 1" in note for note in found.notes)
    assert not any("pocket" in f.name for f in found.families)

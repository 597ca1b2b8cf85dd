"""Protein files become fragments with whole groups, caps and the right charges."""

import numpy as np
import pytest

from kshot.atoms import Structure, check_structure
from kshot.atoms.elements import symbol
from kshot.families.proteins import Cuts, Ion, States, fragment_protein
from kshot.families.proteins.read import read_protein
from protein_models import INTEGRASE, VILLIN, peptide, write, zinc_site

BOTH = Cuts(frozenset({"residues", "pairs"}))
CYSTINE = "PEPTIDE1{A.C.D.H.K.P.C.R.Y.E.G}$PEPTIDE1,PEPTIDE1,2:R3-7:R3$$$"
CHARGES = {"asp": -1, "glu": -1, "lys": 1, "arg": 1, "hip": 1, "cym": -1}


@pytest.fixture(scope="module")
def villin():
    return fragment_protein(VILLIN, BOTH)


@pytest.fixture(scope="module")
def integrase():
    return fragment_protein(INTEGRASE, BOTH)


@pytest.fixture(scope="module")
def cystine(tmp_path_factory):
    return write(tmp_path_factory.mktemp("made") / "cystine.pdb", peptide(CYSTINE))


@pytest.fixture(scope="module")
def zinc(tmp_path_factory):
    return write(tmp_path_factory.mktemp("made") / "zinc.pdb", zinc_site())


def members(fragments, stratum="protein-residue"):
    return [m for f in fragments.families if f.stratum == stratum for m in f.members]


def family(fragments, name):
    return next(f for f in fragments.families if f.name == name)


def smiles(structure):
    """What RDKit makes of positions and charge alone: an independent way back to valences."""
    from rdkit import Chem
    from rdkit.Chem import rdDetermineBonds

    rows = zip(structure.numbers, structure.positions, strict=True)
    lines = [f"{symbol(int(z))} {x:.5f} {y:.5f} {w:.5f}" for z, (x, y, w) in rows]
    mol = Chem.MolFromXYZBlock("\n".join([str(len(lines)), "", *lines]))
    rdDetermineBonds.DetermineBonds(mol, charge=structure.charge)
    Chem.SanitizeMol(mol)
    assert sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()) == 0
    return Chem.MolToSmiles(Chem.RemoveHs(mol), isomericSmiles=False)


def gfn2(structure):
    """Energy (eV) of tblite's GFN2-xTB; raises if the SCF does not converge."""
    from tblite.interface import Calculator

    calculator = Calculator(
        "GFN2-xTB",
        structure.numbers,
        structure.positions / 0.529177210903,
        charge=structure.charge,
        uhf=structure.multiplicity - 1,
    )
    calculator.set("verbosity", 0)
    return calculator.singlepoint()["energy"] * 27.211386


# --- caps and charges ----------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["villin", "integrase"])
def test_caps_come_back_by_valence(file, request):
    """Every capped residue of two real proteins: RDKit finds bonds and charge from positions."""
    found = members(request.getfixturevalue(file))
    assert len(found) == {"villin": 36, "integrase": 133}[file]
    for member in found:
        assert smiles(member.structure), member.name


def test_pairs_come_back_by_valence(villin):
    for member in members(villin, "protein-pair")[::4]:
        assert smiles(member.structure)


def test_charges_are_those_of_the_side_chains(villin, integrase):
    for fragments in (villin, integrase):
        for f in fragments.families:
            name, *end = f.tags.get("residue", "-").split("-")
            if f.stratum == "protein-residue" and "term" not in f.name and not end:
                assert {m.structure.charge for m in f.members} == {CHARGES.get(name, 0)}, f.name


def test_capped_residues_are_what_chemistry_calls_them(integrase):
    wanted = {
        "1bhl-lys": "CNC(=O)C(CCCC[NH3+])NC(C)=O",
        "1bhl-asp": "CNC(=O)C(CC(=O)[O-])NC(C)=O",
        "1bhl-hie": "CNC(=O)C(Cc1c[nH]cn1)NC(C)=O",
        "1bhl-cas": "CNC(=O)C(CS[As](C)C)NC(C)=O",
        "1bhl-arg": "CNC(=O)C(CCCNC(N)=[NH2+])NC(C)=O",
        "1bhl-ser-nterm": "CN(C)C(=O)C([NH3+])CO",  # before a proline: a tertiary amide stays one
        "1bhl-asp-cterm": "CC(=O)NC(CC(=O)[O-])C(=O)[O-]",
    }
    for name, text in wanted.items():
        assert smiles(family(integrase, name).members[0].structure) == text


def test_hydrogens_of_the_file_are_kept(villin):
    protein = read_protein(VILLIN)
    lysine = family(villin, "1vii-lys").members[0].structure
    own = np.array([protein.positions[i] for i in range(len(protein)) if protein.names[i] == "HZ1"])
    nearest = np.linalg.norm(own[:, None] - lysine.positions, axis=-1).min(1)
    assert (nearest < 1e-9).any()
    assert not any("hydrogens added" in note for note in villin.notes)


def test_hydrogens_removed_and_added_again_give_the_same_molecules(tmp_path, villin):
    lines = [ln for ln in VILLIN.read_text().splitlines() if ln.startswith("ATOM")]
    bare = write(tmp_path / "1vii.pdb", [ln for ln in lines if ln[76:78].strip() != "H"])
    again = fragment_protein(bare, BOTH)
    ours = {m.name: smiles(m.structure) for m in members(again)}
    assert ours == {m.name: smiles(m.structure) for m in members(villin)}
    assert any("hydrogens added" in note for note in again.notes)


def test_all_fragments_are_sound_structures(villin, integrase):
    for fragments in (villin, integrase):
        for f in fragments.families:
            for member in f.members:
                assert check_structure(member.structure) == []
                assert member.structure.family == f.name
                assert member.structure.info["pdb"] == f.tags["pdb"]


def test_a_disulfide_stays_whole(cystine):
    found = fragment_protein(cystine, BOTH)
    cyx = family(found, "cystine-cyx")
    assert {smiles(m.structure) for m in cyx.members} == {"CNC(=O)C(CSSC)NC(C)=O"}
    assert any("SG of CYS A 2 – SG of CYS A 7" in note for note in found.notes)
    (bridge,) = family(found, "cystine-pair-cyx-cyx").members
    assert smiles(bridge.structure).count("S") == 2


@pytest.mark.parametrize(
    ("ph", "charges"),
    [
        (7.0, {"asp": -1, "hid": 0, "lys": 1, "glu": -1, "tyr": 0}),
        (2.0, {"ash": 0, "hip": 1, "lys": 1, "glh": 0, "tyr": 0}),
        (12.0, {"asp": -1, "hid": 0, "lyn": 0, "glu": -1, "tym": -1}),
    ],
)
def test_acidity_decides_hydrogens(cystine, ph, charges):
    found = fragment_protein(cystine, states=States(ph=ph))
    for name, charge in charges.items():
        (member,) = family(found, f"cystine-{name}").members
        assert member.structure.charge == charge
        assert smiles(member.structure)


def test_gfn2_converges(villin, integrase, cystine):
    chosen = [f.members[0] for f in (*villin.families[:20:3], *integrase.families[:20:4])]
    chosen += [f.members[0] for f in fragment_protein(cystine, BOTH).families[1:4]]
    for member in chosen:
        assert -1e5 < gfn2(member.structure) < -100, member.name


def test_same_file_same_fragments(cystine):
    first, second = (fragment_protein(cystine, BOTH) for _ in range(2))
    assert [m.structure.key for f in first.families for m in f.members] == [
        m.structure.key for f in second.families for m in f.members
    ]


# --- pockets -------------------------------------------------------------------------------------


def test_zinc_pocket(zinc):
    found = fragment_protein(zinc, Cuts(frozenset({"residues"}), ("ZN",), radius=3.0))
    pocket = family(found, "zinc-pocket-zn")
    (site,) = pocket.members
    structure = site.structure
    # Zn(II), two methanethiolates, two neutral methylimidazoles.
    assert (structure.charge, structure.multiplicity, len(structure)) == (0, 1, 35)
    assert dict(pocket.tags) == {"metal": "zn", "pocket": "zn", "pdb": "zinc", "chains": "A"}
    metal = structure.positions[structure.numbers == 30]
    near = np.sort(np.linalg.norm(structure.positions - metal, axis=1))[1:5]
    assert near == pytest.approx([2.05, 2.05, 2.33, 2.33], abs=0.01)
    assert gfn2(structure) < -1000
    assert {f.name for f in found.families} >= {"zinc-cym", "zinc-hid"}
    assert any("CYS A 11: bound to a metal, deprotonated" in note for note in found.notes)
    assert any("ZN taken as +2" in note for note in found.notes)


def test_wider_pockets_keep_whole_residues(zinc):
    narrow, wide = (
        fragment_protein(zinc, Cuts(frozenset(), ("zn",), radius=radius)).families[0].members[0]
        for radius in (3.0, 5.5)
    )
    assert len(wide.structure) > len(narrow.structure)
    assert wide.structure.charge == 0


def test_oxidation_and_spin_states_are_stated(zinc):
    states = States(ions={"ZN": Ion(2, 2)})
    (f,) = fragment_protein(zinc, Cuts(frozenset(), ("*",), 3.0), states).families
    assert f.members[0].structure.multiplicity == 3


def test_real_cofactor_pocket():
    """ADP, magnesium and MgF3− of mTOR: hydrogens and charges of a cofactor with metals."""
    file = VILLIN.with_name("4JSV.pdb")
    found = fragment_protein(file, Cuts(frozenset(), ("ADP", "MGF"), radius=2.9))
    adp = family(found, "4jsv-pocket-adp").members[0].structure
    assert 12 in adp.numbers
    assert adp.numbers.tolist().count(15) == 2
    assert check_structure(adp) == []
    assert gfn2(family(found, "4jsv-pocket-mgf").members[0].structure) < -1000


def test_a_pocket_that_is_not_there(zinc):
    with pytest.raises(ValueError, match=r"called HEM; got .*zinc.pdb, which has: ZN"):
        fragment_protein(zinc, Cuts(frozenset(), ("HEM",)))


def test_an_scf_failure_is_no_energy():
    """The helper above would not hide an SCF that fails."""
    from tblite.exceptions import TBLiteRuntimeError

    broken = Structure(np.array([1, 1]), np.zeros((2, 3)))
    with pytest.raises(TBLiteRuntimeError):
        gfn2(broken)

"""What is odd in a structure file is handled and noted; what is broken is refused, and named."""

import gzip

import ase.io
import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kshot.atoms import check_structure
from kshot.cli.families_build import build
from kshot.core.errors import InputError, MissingExtraError
from kshot.families.proteins import Cuts, States, fragment_protein
from kshot.families.proteins.metals import parse_ion
from kshot.families.proteins.read import read_protein
from kshot.families.proteins.templates import read_components
from protein_models import INTEGRASE, VILLIN, line, peptide, write


@pytest.fixture(scope="module")
def hexapeptide():
    return peptide("GSKDAG")


def ligand(smiles, name, seed=1, shift=(0.0, 0.0, 30.0), hydrogens=False, charge=None):
    """Lines of a ligand built by RDKit, far from the peptide."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    AllChem.EmbedMolecule(mol, randomSeed=seed)
    AllChem.UFFOptimizeMolecule(mol)
    points = mol.GetConformer().GetPositions() + shift
    lines, counts = [], {}
    for atom in mol.GetAtoms():
        z = atom.GetSymbol()
        if z != "H" or hydrogens:
            counts[z] = counts.get(z, 0) + 1
            point = points[atom.GetIdx()]
            lines.append(
                line(500 + len(lines), f"{z}{counts[z]}", name, "B", 1, point, z, "HETATM")
            )
    return lines


def fragments(tmp_path, lines, *args, **options):
    return fragment_protein(write(tmp_path / "odd.pdb", lines), *args, **options)


# --- handled, and noted --------------------------------------------------------------------------


def test_alternate_locations_go_by_occupancy(tmp_path, hexapeptide):
    spoiled = []
    for row in hexapeptide:
        if row[12:16].strip() == "OG":
            moved = np.array([float(row[k : k + 8]) for k in (30, 38, 46)]) + 0.4
            new = "".join(f"{v:8.3f}" for v in moved)
            spoiled.append(f"{row[:16]}A{row[17:54]}  0.30{row[60:]}")
            spoiled.append(f"{row[:16]}B{row[17:30]}{new}  0.70{row[60:]}")
            wanted = moved
        else:
            spoiled.append(row)
    found = fragments(tmp_path, spoiled)
    assert any("SER A 2: alternate location B taken, not A" in note for note in found.notes)
    (serine,) = next(f for f in found.families if f.name == "odd-ser").members
    assert np.linalg.norm(serine.structure.positions - wanted, axis=1).min() < 1e-6


def test_insertion_codes_are_kept(tmp_path, hexapeptide):
    renamed = [f"{r[:22]}   2A{r[27:]}" if r[22:26] == "   3" else r for r in hexapeptide]
    found = fragments(tmp_path, renamed)
    assert any("insertion codes kept: LYS A 2A" in note for note in found.notes)
    assert [m.name for f in found.families for m in f.members if "lys" in f.name] == ["lys-a2a"]


def test_missing_atoms_of_a_side_chain_are_rebuilt(tmp_path, hexapeptide):
    cut = [r for r in hexapeptide if r[12:16].strip() not in {"CD", "CE", "NZ"}]
    found = fragments(tmp_path, cut)
    assert any("LYS A 3: missing atoms rebuilt (CD, CE, NZ)" in note for note in found.notes)
    (lysine,) = next(f for f in found.families if f.name == "odd-lys").members
    assert lysine.structure.charge == 1
    assert check_structure(lysine.structure) == []


def test_rebuilding_without_pdbfixer_says_what_to_install(tmp_path, hexapeptide, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pdbfixer", None)
    cut = [r for r in hexapeptide if r[12:16].strip() != "NZ"]
    with pytest.raises(MissingExtraError, match=r"pip install 'kshot\[proteins\]'"):
        fragments(tmp_path, cut)


def test_missing_residues_leave_a_gap(tmp_path, hexapeptide):
    gap = [row for row in hexapeptide if row[22:26] != "   3"]
    found = fragments(tmp_path, gap)
    assert "2 residues next to a gap left out" in found.notes
    names = {m.name for f in found.families for m in f.members}
    assert names == {"gly-a1", "ala-a5", "gly-a6"}
    notes = fragment_protein(INTEGRASE).notes
    assert any("16 residues of the sequence missing (GLU to SER" in note for note in notes)


def test_residues_that_nobody_knows_are_left_out_and_named(tmp_path, hexapeptide):
    odd = [row.replace("SER", "XYZ") for row in hexapeptide]
    found = fragments(tmp_path, odd)
    assert any("XYZ A 2 left out: it has unknown chemistry (C3N1O2)" in n for n in found.notes)
    assert any("--smiles XYZ=" in note for note in found.notes)
    assert "odd-asp" in {f.name for f in found.families}
    known = fragments(tmp_path, odd, states=States(smiles={"XYZ": "NC(CO)C=O"}))
    assert "odd-xyz" in {f.name for f in known.families}


def test_non_standard_residues_stay_what_they_are(tmp_path):
    """Phosphoserine stays one: dianion at pH 7, and never serine."""
    rows = peptide("GSAG")
    oxygen = next(r for r in rows if r[12:16].strip() == "OG")
    carbon = next(r for r in rows if r[12:16].strip() == "CB")
    at, before = (np.array([float(r[k : k + 8]) for k in (30, 38, 46)]) for r in (oxygen, carbon))
    out = (at - before) / np.linalg.norm(at - before)
    side = np.cross(out, [0.2, 0.9, 0.4])
    side /= np.linalg.norm(side)
    third = np.cross(out, side)
    centre = at + 1.6 * out
    extra = [line(900, "P", "SEP", "A", 2, centre, "P")]
    for k, angle in enumerate(np.radians([0, 120, 240])):
        arm = out / 3 + np.sqrt(8) / 3 * (np.cos(angle) * side + np.sin(angle) * third)
        extra.append(line(901 + k, f"O{k + 1}P", "SEP", "A", 2, centre + 1.5 * arm, "O"))
    rows = [r.replace("SER", "SEP") for r in rows]
    last = max(k for k, r in enumerate(rows) if r[17:20] == "SEP")
    found = fragments(tmp_path, [*rows[: last + 1], *extra, *rows[last + 1 :]])
    sep = next(f for f in found.families if f.name == "odd-sep")
    assert sep.members[0].structure.charge == -2
    assert sep.tags["modification"] == "phosphoserine"


ISOPEPTIDE = (
    *("CH3", "C", "O", "N", "CA", "CB", "CG", "CD", "CE", "NZ"),
    *("C", "O", "CA", "N", "C", "CH3", "O", "C", "O", "N", "C"),
)


def test_an_isopeptide_bond_stays_whole(tmp_path):
    from rdkit import Chem
    from rdkit.Chem import AllChem

    text = "CC(=O)N[C@@H](CCCCNC(=O)CNC(C)=O)C(=O)NC"
    mol = Chem.AddHs(Chem.MolFromSmiles(text))
    AllChem.EmbedMolecule(mol, randomSeed=5)
    x = mol.GetConformer().GetPositions()
    residues = ["ACE"] * 3 + ["LYS"] * 7 + ["GLY"] * 4 + ["ACE"] * 3 + ["LYS"] * 2 + ["NME"] * 2
    where = {"ACE": ("A", 1), "LYS": ("A", 2), "NME": ("A", 3), "GLY": ("B", 76)}
    rows = []
    for k, (name, residue) in enumerate(zip(ISOPEPTIDE, residues, strict=True)):
        chain, number = ("B", 75) if residue == "ACE" and k > 3 else where[residue]
        rows.append(line(k + 1, name, residue, chain, number, x[k], name[0]))
    rows.sort(key=lambda r: (r[21], int(r[22:26])))
    found = fragments(tmp_path, rows)
    linked = next(f for f in found.families if f.name == "odd-lys-linked")
    # Neither carbonyl nor amide of the link is cut, and the amine is no longer charged.
    (member,) = linked.members
    assert member.structure.charge == 0
    assert member.structure.numbers.tolist().count(7) >= 3
    assert any("bond NZ of LYS A 2 – C of GLY B 76" in note for note in found.notes)


def test_models_waters_and_gzip(tmp_path, hexapeptide):
    water = [line(990, "O", "HOH", "W", 1, (0, 0, 40), "O", "HETATM")]
    model = [*hexapeptide, *water]
    path = tmp_path / "two.pdb"
    path.write_text("\n".join(["MODEL 1", *model, "ENDMDL", "MODEL 2", *model, "ENDMDL", "END\n"]))
    zipped = tmp_path / "two.pdb.gz"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    plain, packed = (fragment_protein(p) for p in (path, zipped))
    assert "2 models: the first is used" in plain.notes
    assert [f.name for f in packed.families] == [f.name for f in plain.families]


def test_mmcif_gives_what_pdb_gives(tmp_path):
    import gemmi

    path = tmp_path / "1vii.cif"
    structure = gemmi.read_structure(str(VILLIN))
    structure.setup_entities()
    structure.entities[0].name = "1"
    structure.make_mmcif_document().write_file(str(path))
    ours, theirs = fragment_protein(path), fragment_protein(VILLIN)
    assert {f.tags.get("entity") for f in ours.families} == {"1"}
    assert {f.tags.get("entity") for f in theirs.families} == {None}
    assert {m.name for f in ours.families for m in f.members} == {
        m.name for f in theirs.families for m in f.members
    }


# --- ligands -------------------------------------------------------------------------------------


def test_a_ligand_by_its_smiles(tmp_path, hexapeptide):
    rows = [*hexapeptide, *ligand("OC(=O)c1ccccc1N", "LIG")]
    with pytest.raises(InputError, match=r"odd.pdb: LIG B 1 has unknown chemistry \(C7N1O2\)"):
        fragments(tmp_path, rows, Cuts(frozenset(), ("LIG",)))
    states = States(smiles={"LIG": "[O-]C(=O)c1ccccc1N"}, charges={"LIG": -1})
    (pocket,) = fragments(tmp_path, rows, Cuts(frozenset(), ("LIG",)), states).families
    assert pocket.members[0].structure.charge == -1
    assert pocket.tags["ligand"] == "lig"
    wrong = States(smiles={"LIG": "[O-]C(=O)c1ccccc1N"}, charges={"LIG": 1})
    with pytest.raises(InputError, match=r"charge \+1 of LIG B 1, as stated; got -1"):
        fragments(tmp_path, rows, Cuts(frozenset(), ("LIG",)), wrong)
    other = States(smiles={"LIG": "c1ccccc1N"})
    with pytest.raises(InputError, match="do not fit c1ccccc1N"):
        fragments(tmp_path, rows, Cuts(frozenset(), ("LIG",)), other)


@pytest.mark.parametrize(
    ("smiles", "charge"), [("[O-]C(=O)c1ccccc1N", -1), ("C[NH+](C)Cc1ccccc1", 1), ("CC(N)=O", 0)]
)
def test_a_ligand_by_its_hydrogens(tmp_path, hexapeptide, smiles, charge):
    rows = [*hexapeptide, *ligand(smiles, "LIG", hydrogens=True)]
    found = fragments(tmp_path, rows, Cuts(frozenset(), ("LIG",)))
    assert found.families[0].members[0].structure.charge == charge
    assert any(f"LIG B 1: charge {charge:+d} from its hydrogens" in n for n in found.notes)


CCD = """data_LIG
_chem_comp.id LIG
_chem_comp.name test
_chem_comp.type non-polymer
loop_
_chem_comp_atom.comp_id
_chem_comp_atom.atom_id
_chem_comp_atom.type_symbol
_chem_comp_atom.charge
_chem_comp_atom.pdbx_leaving_atom_flag
LIG C1 C 0 N
LIG C2 C 0 N
LIG O1 O 0 N
LIG O2 O 0 N
LIG N1 N 0 N
LIG H1 H 0 N
LIG H2 H 0 N
LIG HO H 0 N
LIG HA H 0 N
LIG HB H 0 N
loop_
_chem_comp_bond.comp_id
_chem_comp_bond.atom_id_1
_chem_comp_bond.atom_id_2
_chem_comp_bond.value_order
LIG C1 C2 SING
LIG C2 O1 DOUB
LIG C2 O2 SING
LIG C1 N1 SING
LIG C1 H1 SING
LIG C1 H2 SING
LIG O2 HO SING
LIG N1 HA SING
LIG N1 HB SING
"""


@pytest.mark.parametrize(("ph", "charge"), [(7.0, 0), (2.0, 1), (12.0, -1)])
def test_a_ligand_by_a_dictionary(tmp_path, hexapeptide, ph, charge):
    """Glycine as the CCD writes it, neutral: a zwitterion at pH 7."""
    (tmp_path / "lig.cif").write_text(CCD)
    rows = [*hexapeptide, *ligand("C(N)C(=O)O", "LIG")]
    names = {"C1": "C1", "N1": "N1", "C2": "C2", "O1": "O1", "O2": "O2"}
    assert {row[12:16].strip() for row in rows if "LIG" in row} == set(names)
    states = States(ph=ph, components=read_components(tmp_path / "lig.cif", ph))
    found = fragments(tmp_path, rows, Cuts(frozenset(), ("LIG",)), states)
    assert found.families[0].members[0].structure.charge == charge


# --- refused -------------------------------------------------------------------------------------


def test_truncated_files(tmp_path, hexapeptide):
    path = tmp_path / "cut.pdb"
    path.write_text("\n".join(hexapeptide)[:-30])
    with pytest.raises(InputError, match=r"cut.pdb: line 3\d ends before its coordinates"):
        read_protein(path)
    path.write_text(INTEGRASE.read_text()[:60_000].rpartition("\n")[0])
    with pytest.raises(InputError, match="a HEADER but no END"):
        read_protein(path)
    lines = INTEGRASE.read_text().splitlines()
    path.write_text("\n".join(r for r in lines if not (r[:4] == "ATOM" and r[22:26] == " 160")))
    with pytest.raises(InputError, match="MASTER record counts 1101 atoms"):
        read_protein(path)
    packed = tmp_path / "cut.pdb.gz"
    packed.write_bytes(gzip.compress(INTEGRASE.read_bytes())[:-500])
    with pytest.raises(InputError, match="truncated"):
        read_protein(packed)


def test_truncated_mmcif(tmp_path):
    import gemmi

    path = tmp_path / "whole.cif"
    gemmi.read_structure(str(VILLIN)).make_mmcif_document().write_file(str(path))
    text = path.read_text()
    path.write_text(text[: len(text) * 2 // 3])
    with pytest.raises(InputError, match=r"whole.cif"):
        read_protein(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("none.pdb", None, "does not exist"),
        ("notes.txt", "hello", "ending in one of"),
        ("empty.pdb", "REMARK\nEND\n", "a file with atoms"),
        ("empty.cif", "data_x\n_cell.length_a 1\n", "a file with atoms"),
    ],
)
def test_files_of_another_kind(tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        read_protein(tmp_path / name)


def test_atoms_on_top_of_each_other(tmp_path, hexapeptide):
    again = hexapeptide[3][:12] + " X1 " + hexapeptide[3][16:]
    with pytest.raises(InputError, match=r"odd.pdb: .* of GLY A 1 and X1 of GLY A 1"):
        fragments(tmp_path, [*hexapeptide[:4], again, *hexapeptide[4:]])
    with pytest.raises(InputError, match="two atoms O in GLY A 1"):
        fragments(tmp_path, [*hexapeptide[:4], hexapeptide[3], *hexapeptide[4:]])


def test_atoms_farther_than_pdb_can_say(tmp_path, hexapeptide):
    # what rebuilds missing atoms reads PDB, whose columns would run into each other
    far = list(hexapeptide)
    far[5] = far[5][:30] + "18000.12" + far[5][38:]
    with pytest.raises(InputError, match=r"-999 to 9999 Å; got .*odd.pdb: .* at 18000.1, "):
        fragments(tmp_path, far)


def test_residues_without_numbers(tmp_path, hexapeptide):
    with pytest.raises(InputError, match=r"odd.pdb: a LYS of chain A without a number"):
        fragments(tmp_path, [r.replace("LYS A   3", "LYS A    ") for r in hexapeptide])


def test_nothing_to_cut(tmp_path):
    with pytest.raises(InputError, match="something to cut out"):
        fragments(tmp_path, [line(1, "O", "HOH", "W", 1, (0, 0, 0), "O", "HETATM")])


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_spoiled_files_never_break_otherwise(tmp_path_factory, data):
    """Lines dropped, doubled, or with a character changed: an answer or an InputError."""
    rows = list(ROWS)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(rows) - 1))
        how = data.draw(st.sampled_from(["drop", "double", "change", "cut"]))
        if how == "drop":
            del rows[at]
        elif how == "double":
            rows.insert(at, rows[at])
        elif how == "cut":
            rows[at] = rows[at][: data.draw(st.integers(0, 80))]
        else:
            k = data.draw(st.integers(0, 77))
            letter = data.draw(st.sampled_from("AXZ019 .-"))
            rows[at] = rows[at][:k] + letter + rows[at][k + 1 :]
    path = write(tmp_path_factory.mktemp("spoiled") / "x.pdb", rows)
    try:
        found = fragment_protein(path)
    except InputError as error:
        assert "x.pdb" in str(error)  # noqa: PT017 - either outcome is right
        return
    for family in found.families:
        for member in family.members:
            assert check_structure(member.structure) == []


ROWS = peptide("GSKAG")
APP = typer.Typer()
APP.command()(build)


# --- the command ---------------------------------------------------------------------------------


def test_command(tmp_path):
    out = tmp_path / "fragments.extxyz"
    result = CliRunner().invoke(APP, [str(VILLIN), "-o", str(out), "--residues", "--pairs"])
    assert result.exit_code == 0, result.output
    assert "59 fragments in 34 families" in result.output
    frames = ase.io.read(out, ":")
    assert len(frames) == 59
    lysine = next(frame for frame in frames if frame.info["family"] == "1vii-lys").info
    assert (lysine["total_charge"], lysine["total_spin"], lysine["pdb"]) == (1, 1, "1vii")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--pockets", "HEM"], "called HEM"),
        (["--charge", "LIG"], "NAME=VALUE"),
        (["--charge", "LIG=minus"], "LIG=minus"),
        (["--ion", "FE=III"], "FE=3/6"),
        (["-o", "nowhere/x.extxyz"], "a folder that exists"),
        (["-o", "x.csv"], "ending in .extxyz"),
    ],
)
def test_command_refuses(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(APP, [str(VILLIN), *options])
    assert words in str(result.exception)


@given(st.integers(-4, 8), st.integers(1, 9))
def test_ions_are_read(charge, multiplicity):
    assert parse_ion(f"fe={charge}/{multiplicity}") == ("FE", (charge, multiplicity - 1))


def test_a_chain_end_without_its_second_oxygen(tmp_path, hexapeptide):
    """With a sequence that ends there it is added; without one the end is a gap."""
    bare = [row for row in hexapeptide if row[12:16].strip() != "OXT"]
    found = fragments(tmp_path, bare)
    assert not any("cterm" in f.name for f in found.families)
    assert "1 residues next to a gap left out" in found.notes
    sequence = ["SEQRES   1 A    6  GLY SER LYS ASP ALA GLY"]
    found = fragments(tmp_path, [*sequence, *bare])
    (end,) = [f for f in found.families if f.name == "odd-gly-cterm"]
    assert end.members[0].structure.charge == -1
    assert "GLY A 6: OXT of the chain's end added" in found.notes


def test_caps_in_the_file_are_used():
    found = fragment_protein(VILLIN.with_name("alanine-dipeptide.pdb"))
    ((family,), notes) = found.families, found.notes
    assert family.name == "alanine-dipeptide-ala"
    assert len(family.members[0].structure) == 22
    assert any("12 hydrogens added" in note for note in notes)

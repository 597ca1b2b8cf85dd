"""The catalogue as it is shipped: every family, every member."""

import subprocess
import sys

import numpy as np
import pytest

from kshot.atoms import check_structure
from kshot.families import elements_of, find_family, load_catalogue, select
from kshot.families.catalogue import data_files, find_entries, read_entries, read_status
from kshot.families.catalogue.bonds import what_changed
from kshot.families.catalogue.entries import NAME
from kshot.families.catalogue.molecules import molecule
from kshot.families.catalogue.store import geometries_file, read_geometries, status_file

FAMILIES = load_catalogue()
ENTRIES = {
    (entry.family, entry.name): entry
    for path in data_files()
    for entry in find_entries(read_entries(path))
}
MEMBERS = [(family, member) for family in FAMILIES for member in family.members]
PROMISED = {
    "phospho-ser", "phospho-thr", "phospho-tyr", "glyco-asn", "glyco-ser", "isopeptide-lys-gly",
    "methyl-lys", "acetyl-lys", "methyl-arg", "disulfide", "met-sulfoxide", "met-sulfone",
    "cys-sulfonic", "hydroxyproline", "selenocysteine", "adenine", "guanine", "cytosine",
    "thymine", "uracil", "adenosine", "thymidine", "sulfonamide", "beta-lactam", "hydroxamate",
    "boronic-acid", "triazole-1-2-3", "fluorobenzene", "amidine", "urea", "piperazine",
    "flavin", "nicotinamide", "pyridoxal-schiff-base", "thiamine", "biotin", "zn-cys4",
    "zn-cys3-his", "zn-cys2-his2", "zn-his3-water", "mg-water6", "mn-water6", "ca-water6",
    "na-hydrate", "k-hydrate", "cu-his4", "fe2s2-cys4", "fe4s4-cys4", "iron-porphine-his",
}  # fmt: skip
RESIDUES = {
    "ala", "arg", "asn", "asp", "cys", "gln", "glu", "gly", "his", "ile", "leu", "lys", "met",
    "phe", "pro", "ser", "thr", "trp", "tyr", "val",
}  # fmt: skip


def test_catalogue_is_as_large_as_promised():
    assert len(FAMILIES) >= 150
    names = {family.name for family in FAMILIES}
    assert names >= PROMISED | {f"dipeptide-{residue}" for residue in RESIDUES}
    assert names >= {f"side-chain-{residue}" for residue in RESIDUES - {"gly"}}
    assert sum(family.stratum == "drug-fragment" for family in FAMILIES) >= 50
    assert len({family.stratum for family in FAMILIES}) >= 10


@pytest.mark.parametrize(
    ("residue", "charges"),
    [
        ("asp", [-1, 0]), ("glu", [-1, 0]), ("his", [0, 0, 1]), ("lys", [0, 1]),
        ("arg", [0, 1]), ("tyr", [-1, 0]), ("cys", [-1, 0]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["dipeptide", "side-chain"])
def test_protonation_states_that_matter_are_there(kind, residue, charges):
    family = find_family(f"{kind}-{residue}", FAMILIES)
    assert sorted(member.structure.charge for member in family.members) == charges


def test_names_are_lower_case_with_dashes_and_unique():
    names = [family.name for family in FAMILIES]
    assert len(names) == len(set(names))
    for family in FAMILIES:
        members = [member.name for member in family.members]
        assert len(members) == len(set(members))
        assert all(NAME.fullmatch(name) for name in [family.name, family.stratum, *members])


@pytest.mark.parametrize(("family", "member"), MEMBERS, ids=lambda x: x.name)
def test_member_is_sound(family, member):
    assert check_structure(member.structure) == []  # parity, distances, elements
    assert member.structure.family == family.name


def test_no_member_is_there_twice():
    from rdkit.Chem import CanonSmiles

    seen = {}
    for key, entry in ENTRIES.items():
        # A biradical and its closed shell share a SMILES, a site in two spin states its ligands.
        made_of = CanonSmiles(entry.smiles) if entry.smiles else entry.site
        what = (made_of, entry.charge, entry.multiplicity)
        assert what not in seen, f"{key} is {seen[what]}"
        seen[what] = key


def test_no_two_geometries_are_the_same():
    keys = [member.structure.key for _, member in MEMBERS]
    assert len(keys) == len(set(keys))


def test_every_geometry_is_stored_and_made_from_the_present_entry():
    stored = {}
    for path in data_files():
        stored |= read_geometries(geometries_file(path.stem))
    wanted = {(entry.family, entry.name, entry.recipe) for entry in ENTRIES.values()}
    assert set(stored) == wanted, "run: python benchmarks/catalogue/refresh.py"


def test_every_geometry_is_the_molecule_of_its_entry():
    changed = {
        (family.name, member.name): what
        for family, member in MEMBERS
        if (what := what_changed(ENTRIES[family.name, member.name], member.structure))
    }
    assert changed == {}


def test_smiles_agree_with_structures_in_valence_charge_and_spin():
    from rdkit import Chem

    for family, member in MEMBERS:
        if not member.smiles:
            continue
        mol = molecule(member.smiles)
        Chem.SanitizeMol(mol)  # raises where a valence is broken
        numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        assert numbers == member.structure.numbers.tolist()
        assert Chem.GetFormalCharge(mol) == member.structure.charge
        radicals = sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms())
        assert (radicals - member.structure.multiplicity) % 2 == 1, (family.name, member.name)


ALPHA_CARBON = "[CX4;H1](N*)C(=O)"


@pytest.mark.parametrize(
    "name",
    [family.name for family in FAMILIES if family.name.startswith(("dipeptide-", "phospho-"))]
    + ["methyl-lys", "acetyl-lys", "methyl-arg", "hydroxyproline", "selenocysteine", "met-sulfone"],
)
def test_amino_acids_are_left_handed(name):
    from rdkit import Chem

    for member in find_family(name, FAMILIES).members:
        mol = molecule(member.smiles)
        pattern = Chem.MolFromSmarts(ALPHA_CARBON)
        labels = dict(Chem.FindMolChiralCenters(mol, useLegacyImplementation=False))
        for centre in {match[0] for match in mol.GetSubstructMatches(pattern)} & set(labels):
            # Sulfur and selenium outrank the carbonyl: L-cysteine is R.
            outranks = any(
                n.GetAtomicNum() in {16, 34}
                for c in mol.GetAtomWithIdx(centre).GetNeighbors()
                for n in c.GetNeighbors()
            )
            assert labels[centre] == ("R" if outranks else "S"), (name, member.name)


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("dipeptide-thr", "RS"),  # 2S,3R
        ("dipeptide-ile", "SS"),  # 2S,3S
        ("dipeptide-cys", "R"),
        ("dipeptide-pro", "S"),
        ("disulfide", "RR"),  # of its cystine
        ("glucose", "RRSSS"),  # alpha: 1S,2R,3S,4S,5R
        ("deoxyribose", "RRS"),  # beta: 1R,3S,4R
        ("adenosine", "RRRS"),
        ("biotin", "RSS"),
    ],
)
def test_well_known_stereo(name, labels):
    from rdkit import Chem

    found = {
        "".join(sorted(x for _, x in Chem.FindMolChiralCenters(molecule(member.smiles))))
        for member in find_family(name, FAMILIES).members
    }
    assert labels in found


@pytest.mark.parametrize("stratum", ["dipeptide", "modification", "sugar", "nucleoside"])
def test_no_stereo_centre_is_left_open(stratum):
    from rdkit import Chem

    for family in select(FAMILIES, strata=[stratum]):
        for member in family.members:
            mol = molecule(member.smiles)
            centres = Chem.FindMolChiralCenters(mol, includeUnassigned=True)
            # The oxygens of a phosphate or a sulfinate differ on paper only.
            open_at = {mol.GetAtomWithIdx(at).GetSymbol() for at, label in centres if label == "?"}
            assert open_at <= {"P", "S"}, (family.name, member.name)


def test_status_is_measured_for_every_member_and_marks_are_shown():
    rows = [row for path in data_files() for row in read_status(status_file(path.stem))]
    assert {(row.family, row.member) for row in rows} == set(ENTRIES)
    assert {row.engine for row in rows} == {"gfn2"}
    for family, member in MEMBERS:
        row = next(r for r in rows if (r.family, r.member) == (family.name, member.name))
        assert member.status == {"gfn2": row.words}
        assert member.usable("gfn2") == (row.outcome == "converges")
        assert row.outcome != "converges" or (row.fmax is not None and row.fmax < 0.06)


def test_high_spin_stand_ins_say_so():
    for family in FAMILIES:
        for member in family.members:
            if "high-spin" in member.name:
                assert "antiferromagnetic" in member.note
                assert member.structure.multiplicity > 8


def test_loading_imports_no_chemistry_library_and_no_jax():
    code = (
        "import sys; from kshot.families import load_catalogue; load_catalogue();"
        "print([m for m in ('rdkit', 'jax', 'tblite', 'pyscf', 'h5py') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_select_keeps_what_fulfils_every_condition():
    zinc = select(FAMILIES, strata=["metal-site"], elements=["Zn"])
    assert "zn-cys4" in {family.name for family in zinc}
    assert all("Zn" in elements_of(family) for family in zinc)
    assert {family.stratum for family in zinc} == {"metal-site"}
    assert select(FAMILIES) == FAMILIES
    assert [f.name for f in select(FAMILIES, names=["urea"])] == ["urea"]


@pytest.mark.parametrize(
    ("conditions", "words"),
    [
        ({"names": ["dipeptide-als"]}, "Did you mean .*dipeptide-asp"),
        ({"strata": ["metals"]}, "Known: .*metal-site"),
        ({"elements": ["Qq"]}, "no element is called 'Qq'"),
    ],
)
def test_select_refuses_what_is_not_there(conditions, words):
    with pytest.raises(KeyError, match=words):
        select(FAMILIES, **conditions)


def test_stored_files_are_small():
    made = status_file("any").parent
    assert sum(path.stat().st_size for path in made.iterdir()) < 1_000_000


def test_positions_are_centred_and_finite():
    for _, member in MEMBERS:
        positions = member.structure.positions
        assert np.isfinite(positions).all()
        assert np.abs(positions.mean(axis=0)).max() < 1e-3

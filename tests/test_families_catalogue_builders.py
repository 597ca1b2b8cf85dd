"""Building members: entries, molecules, metal sites, relaxation, refresh."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kshot.atoms import Failure, Fingerprint, Labeler, Labels, Structure
from kshot.core.errors import InputError, UnknownNameError
from kshot.families import load_catalogue
from kshot.families.catalogue import Entry, Site, build_entry, build_molecule, build_site
from kshot.families.catalogue.bonds import what_changed
from kshot.families.catalogue.entries import NAME, data_files, read_entries
from kshot.families.catalogue.ligands import LIGANDS, ready, rotation_to_z
from kshot.families.catalogue.load import find_entries
from kshot.families.catalogue.refresh import examine, refresh
from kshot.families.catalogue.store import (
    Status,
    read_geometries,
    read_status,
    status_file,
    write_status,
)

GOOD = 'stratum = "mine"\n[families.ammonia-mine]\nneutral = { smiles = "N" }\n'


class Springs(Labeler):
    """Harmonic bonds at the lengths of the first structure it sees; no chemistry."""

    def __init__(self, fails=False):
        self.rest, self.fails = None, fails

    @property
    def fingerprint(self):
        return Fingerprint("springs", "1", "springs")

    def label(self, structure):
        if self.fails:
            return Failure("not converged", "asked to fail")
        if self.rest is None:
            self.rest = structure.positions
        moved = structure.positions - self.rest
        return Labels(float(5 * (moved**2).sum()), -10 * moved, fingerprint=self.fingerprint)


class Tears(Springs):
    """Pulls the first atom away."""

    def label(self, structure):
        if self.rest is None:
            self.rest = structure.positions.copy()
            self.rest[0] += 4.0
        return super().label(structure)


def written(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    return path


# --- data files ---


def test_own_data_file_is_built_on_the_spot(tmp_path):
    family = load_catalogue(written(tmp_path, GOOD))[-1]
    assert (family.name, family.stratum) == ("ammonia-mine", "mine")
    assert family.members[0].structure.numbers.tolist() == [7, 1, 1, 1]
    assert family.members[0].status == {}
    assert family.members[0].usable("gfn2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stratum = ", "mine.toml in TOML"),
        ('[families.a]\nb = { smiles = "C" }', "'stratum' and 'families'"),
        ('stratum = "Mine"\n[families.a]\nb = { smiles = "C" }', "lower case"),
        ('stratum = "mine"\n[families.A]\nb = { smiles = "C" }', "lower case"),
        ('stratum = "mine"\n[families.a]\n', "at least one member"),
        ('stratum = "mine"\nfamilies.a = 1', "a table for a family"),
        ('stratum = "mine"\n[families.a]\nb = "C"', "a table for .*member 'b'"),
        ('stratum = "mine"\n[families.a]\nb = { smile = "C" }', "known keys .*smile"),
        ('stratum = "mine"\n[families.a]\nb = { charge = 1 }', "either smiles or metal"),
        ('stratum = "mine"\n[families.a]\nb = { smiles = "C", metal = "Zn" }', "either smiles"),
        ('stratum = "mine"\n[families.a]\nb = { smiles = "C", charge = "1" }', "of type int"),
        ('stratum = "mine"\n[families.a]\nb = { smiles = "C", charge = true }', "of type int"),
        ('stratum = "mine"\n[families.a]\nb = { metal = "Zn" }', "oxidation, ligands"),
        ('stratum = "mine"\n[families.a]\ntags.x = 1\nb = { smiles = "C" }', "tags that are"),
        ('stratum = "mine"\n[families.urea]\nb = { smiles = "C" }', "'urea' twice"),
        ('stratum = "mine"\n[families.a]\nb = { smiles = "C(" }', "RDKit can read"),
        ('stratum = "mine"\n[families.a]\nb = { smiles = "C(C)(C)(C)(C)C" }', "RDKit can read"),
        ('stratum = "mine"\n[families.a]\nb = { smiles = "[NH4+]" }', "charge = 1 for a/b"),
        ('stratum = "mine"\n[families.a]\nb = { smiles = "C", multiplicity = 2 }', "multiplicity"),
    ],
)
def test_bad_data_file_is_refused_with_the_place(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        load_catalogue(written(tmp_path, text))


def test_missing_data_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="readable file"):
        load_catalogue(tmp_path / "none.toml")


@given(st.text(max_size=12))
def test_name_is_taken_or_refused_but_never_changed(tmp_path_factory, name):
    path = tmp_path_factory.mktemp("names") / "mine.toml"
    path.write_text(f'stratum = "mine"\n[families.{json.dumps(name)}]\nb = {{ smiles = "C" }}\n')
    if NAME.fullmatch(name):
        assert read_entries(path)[0].name == name
    else:
        with pytest.raises(InputError):
            read_entries(path)


def test_recipe_changes_with_whatever_the_geometry_is_made_of():
    one = Entry("a", "b", smiles="C")
    others = [
        Entry("a", "b", smiles="CC"),
        Entry("a", "b", smiles="C", charge=1),
        Entry("a", "b", smiles="C", multiplicity=3),
        Entry("a", "b", site=Site("Zn", 2, ("water",), shape="linear")),
    ]
    assert len({entry.recipe for entry in [one, *others]}) == 5
    assert Entry("c", "d", smiles="C", note="x").recipe == one.recipe


# --- molecules ---


def test_same_seed_same_coordinates():
    first, again, other = (
        build_molecule("CCCC(=O)O", seed=seed, name="x").positions for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_parts_of_a_smiles_do_not_overlap():
    dimer = build_molecule("O.O", seed=0)
    gap = np.linalg.norm(dimer.positions[[0, 2, 3]][:, None] - dimer.positions[[1, 4, 5]], axis=-1)
    assert gap.min() > 1.4


def test_radical_electrons_become_multiplicity():
    assert build_molecule("[O][O]", seed=0).multiplicity == 3
    assert build_molecule("C[CH2]", seed=0).multiplicity == 2


@pytest.mark.slow  # RDKit tries long
def test_impossible_stereo_is_refused():
    with pytest.raises(InputError, match="can be embedded"):
        build_molecule("C1C[C@H]2C[C@@H]1C=C=C2", seed=0)


def test_changed_molecules_are_told_from_kept_ones():
    entry = Entry("a", "b", smiles="C[C@H](F)Cl")
    built = build_entry(entry)
    assert what_changed(entry, built) == ""
    mirrored = built.replace(positions=built.positions * [1, 1, -1])
    assert "stereo" in what_changed(entry, mirrored)
    torn = built.positions.copy()
    torn[2] += 3 * (torn[2] - torn[1])
    assert "broken" in what_changed(entry, built.replace(positions=torn))
    squeezed = built.positions.copy()
    squeezed[2] = squeezed[3] + [0.3, 0, 0]
    assert what_changed(entry, built.replace(positions=squeezed)) == "atoms touch"


# --- sites ---


@pytest.mark.parametrize("name", LIGANDS)
def test_ligand_has_its_donor_at_the_origin_and_the_metal_side_free(name):
    part = ready(name)
    donor = int(np.argmin(np.linalg.norm(part.positions, axis=1)))
    assert np.linalg.norm(part.positions[donor]) < 1e-9
    assert part.numbers[donor] == part.donor
    others = np.delete(part.positions, donor, axis=0)
    metal = np.array([0, 0, 2.1])
    assert np.linalg.norm(others - metal, axis=1).min(initial=9.0) > 2.1


@given(st.tuples(*[st.floats(-1, 1)] * 3).filter(lambda v: np.linalg.norm(v) > 1e-3))
def test_rotation_to_z_is_proper_and_goes_to_z(direction):
    vector = np.array(direction)
    matrix = rotation_to_z(vector)
    assert np.allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.isclose(np.linalg.det(matrix), 1)
    assert np.allclose(matrix @ vector, [0, 0, np.linalg.norm(vector)], atol=1e-12)


@pytest.mark.parametrize(
    ("shape", "corners", "angles"),
    [
        ("tetrahedral", 4, {109.5}),
        ("octahedral", 6, {90.0, 180.0}),
        ("square-planar", 4, {90.0, 180.0}),
        ("trigonal-bipyramidal", 5, {90.0, 120.0, 180.0}),
        ("trigonal", 3, {120.0}),
        ("linear", 2, {180.0}),
    ],
)
def test_shapes_have_their_angles(shape, corners, angles):
    built = build_site(Site("Zn", 2, ("chloride",) * corners, shape=shape), seed=0)
    bonds = built.positions[1:] - built.positions[0]
    assert len(bonds) == corners
    lengths = np.linalg.norm(bonds, axis=1)
    assert np.allclose(lengths, lengths[0])
    cosines = (bonds @ bonds.T / lengths[0] ** 2)[np.triu_indices(corners, 1)]
    assert {round(float(x), 1) for x in np.degrees(np.arccos(np.clip(cosines, -1, 1)))} == angles


def test_charge_of_a_site_is_that_of_metals_and_ligands():
    cys4 = build_site(Site("Zn", 2, ("thiolate",) * 4, shape="tetrahedral"), seed=0)
    assert cys4.charge == -2
    cubane = build_site(Site("Fe", 10, ("thiolate",) * 4, cluster="4fe-4s"), seed=0)
    assert cubane.charge == -2
    assert np.bincount(cubane.numbers)[[26, 16]].tolist() == [4, 8]
    heme = build_site(Site("Fe", 2, ("imidazole",), cluster="porphine"), seed=0)
    assert heme.charge == 0
    assert np.bincount(heme.numbers)[[1, 6, 7, 26]].tolist() == [16, 23, 6, 1]


@pytest.mark.parametrize("cluster", ["2fe-2s", "4fe-4s"])
def test_iron_sulfur_bonds_are_as_in_crystals(cluster):
    core = build_site(Site("Fe", 6, (), cluster=cluster), seed=0)
    iron, sulfur = (core.positions[core.numbers == z] for z in (26, 16))
    bonds = np.sort(np.linalg.norm(iron[:, None] - sulfur, axis=-1), axis=1)
    shared = 2 if cluster == "2fe-2s" else 3
    assert np.all((bonds[:, :shared] > 2.15) & (bonds[:, :shared] < 2.35))
    assert np.linalg.norm(iron[0] - iron[1]) == pytest.approx(2.71, abs=0.02)


@pytest.mark.parametrize(
    ("site", "words"),
    [
        (Site("Zn", 2, ("watr",), shape="linear"), "no ligand"),
        (Site("Xx", 2, ("water",), shape="linear"), "no metal"),
        (Site("Zn", 2, ("water",), shape="cubic"), "no shape"),
        (Site("Zn", 2, ("water",), cluster="3fe"), "no cluster"),
    ],
)
def test_unknown_parts_of_a_site_are_refused(site, words):
    with pytest.raises(UnknownNameError, match=words):
        build_site(site, seed=0)


def test_too_many_ligands_are_refused():
    with pytest.raises(InputError, match="at most 2 ligands"):
        build_site(Site("Zn", 2, ("water",) * 3, shape="linear"), seed=0)


def test_lost_ligand_is_told():
    entry = Entry("a", "b", site=Site("Zn", 2, ("water", "chloride"), shape="linear"), charge=1)
    built = build_entry(entry)
    assert what_changed(entry, built) == ""
    away = built.positions.copy()
    away[-1] *= 2
    assert what_changed(entry, built.replace(positions=away)) == "1 ligands have left"


def test_proton_that_went_from_ligand_to_ligand_is_told():
    entry = Entry("a", "b", site=Site("Zn", 2, ("water", "chloride"), shape="linear"), charge=1)
    built = build_entry(entry)
    moved = built.positions.copy()
    moved[2] = moved[-1] + [0.0, 1.28, 0.0]
    what = what_changed(entry, built.replace(positions=moved))
    assert what == "H-O broken, H-Cl formed" or what == "O-H broken, H-Cl formed"


def test_wrong_charge_of_a_site_is_refused():
    site = Site("Zn", 2, ("thiolate",) * 4, shape="tetrahedral")
    with pytest.raises(InputError, match="charge = -2 for a/b"):
        build_entry(Entry("a", "b", site=site))


# --- status ---


def test_failure_is_marked_and_the_built_geometry_kept():
    entry = Entry("a", "b", smiles="O")
    structure, status = examine(entry, Springs(fails=True), "springs")
    assert (status.outcome, status.detail, status.energy) == (
        "not converged",
        "asked to fail",
        None,
    )
    assert status.words == "not converged: asked to fail"
    assert len(structure) == 3


def test_molecule_that_turns_into_another_is_marked():
    structure, status = examine(Entry("a", "b", smiles="O"), Tears(), "springs")
    assert status.outcome == "changes"
    assert "broken" in status.detail
    assert what_changed(Entry("a", "b", smiles="O"), structure) == ""


def test_refresh_writes_what_load_reads(tmp_path):
    rows = refresh(_Rigid(), "rigid", strata=["terminus"], folder=tmp_path, show=False)
    assert {row.outcome for row in rows} == {"converges"}
    assert read_status(tmp_path / "terminus.status.jsonl") == rows
    stored = read_geometries(tmp_path / "terminus.jsonl")
    path = next(path for path in data_files() if path.stem == "terminus")
    entries = find_entries(read_entries(path))
    assert list(stored) == [(entry.family, entry.name, entry.recipe) for entry in entries]
    assert len(list(tmp_path.iterdir())) == 2


class _Rigid(Labeler):
    """Every geometry is a minimum."""

    @property
    def fingerprint(self):
        return Fingerprint("rigid", "1", "rigid")

    def label(self, structure):
        return Labels(-1.0, np.zeros((len(structure), 3)), fingerprint=self.fingerprint)


def test_status_round_trip(tmp_path):
    rows = (Status("a", "b", "gfn2", "x", "converges", "", -1.5, 0.01),)
    write_status(tmp_path / "s.json", rows)
    assert read_status(tmp_path / "s.json") == rows
    assert read_status(tmp_path / "none.json") == ()


def test_gfn2_energies_of_the_status_are_those_of_the_stored_geometries():
    gfn = pytest.importorskip("kshot.labelers.gfn")
    families = {family.name: family for family in load_catalogue()}
    for name in ("urea", "zn-his2-asp-water", "dioxygen"):
        rows = read_status(status_file(families[name].stratum))
        for member in families[name].members:
            labels = gfn.gfn2().label(member.structure)
            row = next(r for r in rows if (r.family, r.member) == (name, member.name))
            assert labels.energy == pytest.approx(row.energy, abs=1e-4)
            assert np.linalg.norm(labels.forces, axis=1).max() == pytest.approx(row.fmax, abs=2e-3)


@pytest.mark.slow
def test_every_entry_builds_the_charge_it_says():
    """All sites, and every seventh molecule: the whole takes half a minute."""
    entries = [entry for path in data_files() for entry in find_entries(read_entries(path))]
    chosen = [entry for entry in entries if entry.site] + entries[::7]
    for entry in chosen:
        structure = build_entry(entry)
        assert isinstance(structure, Structure)
        assert structure.charge == entry.charge

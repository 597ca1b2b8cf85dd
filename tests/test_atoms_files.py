"""ASE databases, and published data sets in small files of the same layouts."""

import lzma

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from kshot.atoms import Fingerprint, Labelled, Labels, Structure
from kshot.atoms.compressed import open_text
from kshot.atoms.extxyz_write import extxyz_text
from kshot.atoms.files import read_labelled, read_structures, scan, write
from kshot.atoms.published import formal_charge
from kshot.atoms.reading import Keys, Reading
from kshot.core.errors import DataError
from kshot.core.units import BOHR, HARTREE, KCAL_PER_MOL

NUMBERS = np.array([8, 1, 1])
POSITIONS = np.array([[0, 0, 0.12], [0, 0.76, -0.47], [0, -0.76, -0.47]])
WATER = Structure(NUMBERS, POSITIONS)
FRAMES = np.stack([POSITIONS, POSITIONS * 1.1])
ENERGIES = np.array([-138.0, -137.5])
FORCES = np.arange(18.0).reshape(2, 3, 3) / 7 - 1
GFN2 = Fingerprint("tblite", "0.8.0", "GFN2-xTB", settings={"accuracy": 1.0})


def check(path, energies=ENERGIES, forces=FORCES, reading=None, charge=0, rtol=1e-12):
    found = list(read_labelled(path, reading))
    np.testing.assert_allclose([f.structure.positions for f in found], FRAMES, rtol, 1e-12)
    np.testing.assert_allclose([f.labels.energy for f in found], energies, rtol)
    np.testing.assert_allclose([f.labels.forces for f in found], forces, max(rtol, 1e-9))
    assert {(f.structure.charge, f.structure.multiplicity) for f in found} == {(charge, 1)}
    return found


def test_ase_db_round_trip(tmp_path):
    frames = [
        Labelled(
            WATER.replace(info={"seed": 1, "T": 300.5, "name": "007"}, family="12"),
            Labels(-138.0, FORCES[0], fingerprint=GFN2),
        ),
        Labelled(
            WATER.replace(
                charge=1,
                multiplicity=2,
                masses=np.array([15.999, 2.014, 2.014]),
                cell=np.diag([8.0, 9, 10]),
                pbc=np.ones(3, bool),
            ),
            Labels(-130.0, FORCES[1], np.array([[0.0, 5, 4], [5, 1, 3], [4, 3, 2]])),
        ),
    ]
    path = tmp_path / "a.db"
    assert write(path, frames) == 2
    back = list(read_labelled(path))
    for one, other in zip(frames, back, strict=True):
        assert one.structure.key == other.structure.key
        assert one.structure.family == other.structure.family
        assert one.structure.info == other.structure.info
        assert one.labels.energy == other.labels.energy
        assert one.labels.fingerprint == other.labels.fingerprint
        np.testing.assert_array_equal(one.labels.forces, other.labels.forces)
    assert back[0].structure.masses is None
    assert back[0].structure.cell is None
    np.testing.assert_array_equal(back[1].structure.masses, frames[1].structure.masses)
    np.testing.assert_array_equal(back[1].labels.stress, frames[1].labels.stress)


def test_ase_db_of_others(tmp_path):
    atoms = Atoms(NUMBERS, POSITIONS)
    atoms.calc = SinglePointCalculator(atoms, energy=-1.0, forces=FORCES[0])
    path = tmp_path / "others.db"
    with connect(path) as database:
        database.write(atoms, total_charge=-2, family="water", REF_energy=-2.0)
        database.write(Atoms("OH", [[0, 0, 0], [0, 0, 1]]))
    frames = list(scan(path))
    structure, labels = frames[0].require_labelled()
    assert (structure.charge, structure.family, labels.energy) == (-2, "water", -1.0)
    assert "others.db, row 2" in frames[1].where
    assert "odd number" in frames[1].problems[0]
    (found, _) = scan(path, Reading(keys=Keys("REF_energy", "forces")))
    assert found.require_labelled().labels.energy == -2.0


@pytest.mark.parametrize("content", [b"", b"junk", b"SQLite format 3\x00" + b"\x00" * 200])
def test_ase_db_damaged(tmp_path, content):
    (tmp_path / "a.db").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.db"):
        list(scan(tmp_path / "a.db"))


def spice(path, smiles="[O:1]([H:2])[H:3]", **changes):
    """As openmm/spice-dataset's downloader writes it: float32 but for energies, atomic units."""
    columns = {
        "subset": np.array(["SPICE Water Clusters"], h5py.string_dtype()),
        "smiles": np.array([smiles], h5py.string_dtype()),
        "atomic_numbers": NUMBERS.astype(np.int16),
        "conformations": (FRAMES / BOHR).astype(np.float32),
        "formation_energy": np.zeros(2),
        "dft_total_energy": ENERGIES / HARTREE,
        "dft_total_gradient": (-FORCES * BOHR / HARTREE).astype(np.float32),
    } | changes
    with h5py.File(path, "w") as file:
        group = file.create_group("water")
        for name, column in columns.items():
            if column is not None:
                group[name] = column


def test_spice(tmp_path):
    path = tmp_path / "SPICE.hdf5"
    spice(path)
    found = check(path, rtol=1e-6)
    assert found[0].structure.family == "water"
    assert found[0].structure.info["subset"] == "SPICE Water Clusters"
    assert next(scan(path)).keys == ("dft_total_energy", "dft_total_gradient", "stress")


def test_spice_charge_is_that_of_its_smiles(tmp_path):
    spice(tmp_path / "a.h5", "[O-2:1].[H+:2].[H:3]", atomic_numbers=np.array([9, 1, 1], np.int16))
    assert {s.charge for s in read_structures(tmp_path / "a.h5")} == {-1}


@pytest.mark.parametrize(
    ("smiles", "charge"),
    [
        ("CCO", 0),
        ("[H:1][N+:2]([H:3])([H:4])[H:5]", 1),
        ("[O-:1][P:2](=[O:3])([O-:4])[O-:5]", -3),
        ("[Mg+2:1]", 2),
        ("[Ca++]", 2),
        ("[Cl-].[Na+]", 0),
        ("[C@@H:1](N)C(=O)[O-]", -1),
        ("[NH3+][C@@H](C)C(=O)[O-]", 0),
        ("C#C-C", 0),
    ],
)
def test_formal_charge(smiles, charge):
    assert formal_charge(smiles) == charge


def test_spice_written_and_read(tmp_path):
    frames = [
        Labelled(WATER.replace(positions=x, family="water"), Labels(e, f))
        for x, e, f in zip(FRAMES, ENERGIES, FORCES, strict=True)
    ]
    cation = Labelled(WATER.replace(charge=1, multiplicity=2), Labels(-1.0, FORCES[0]))
    assert write(tmp_path / "a.h5", [*frames, cation]) == 3
    back = list(read_labelled(tmp_path / "a.h5"))
    assert [b.structure.family for b in back] == ["water", "water", ""] or [
        b.structure.family for b in back
    ] == ["", "water", "water"]
    by_energy = {round(b.labels.energy, 6): b for b in back}
    for one in [*frames, cation]:
        other = by_energy[one.labels.energy]
        assert one.structure.key == other.structure.key
        np.testing.assert_allclose(other.labels.forces, one.labels.forces, rtol=1e-12)
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["water-0"]["conformations"].attrs["units"] == "bohr"


def ani(path):
    """As ANI1x_datasets: a group per composition, float32 coordinates, NaN where not computed."""
    with h5py.File(path, "w") as file:
        group = file.create_group("H2O1")
        group["atomic_numbers"] = NUMBERS.astype(np.uint8)
        group["coordinates"] = np.concatenate([FRAMES, FRAMES[:1] * 2]).astype(np.float32)
        group["wb97x_dz.energy"] = np.array([*ENERGIES / HARTREE, np.nan])
        forces = np.concatenate([FORCES, FORCES[:1]]) / HARTREE
        group["wb97x_dz.forces"] = forces.astype(np.float32)
        group["ccsd(t)_cbs.energy"] = np.array([np.nan, -1.0, np.nan])


def test_ani(tmp_path):
    ani(tmp_path / "ani1x.h5")
    found = check(tmp_path / "ani1x.h5", rtol=1e-6)  # the conformation without energy is left out
    assert found[0].structure.family == "H2O1"
    other = Keys("ccsd(t)_cbs.energy", "ccsd(t)_cbs.forces")  # which ANI-1ccx does not have
    words = (
        r"group 'H2O1', conformation 1: there are no forces under the key 'ccsd\(t\)_cbs.forces'"
    )
    with pytest.raises(DataError, match=words):
        list(read_labelled(tmp_path / "ani1x.h5", Reading(other)))


def test_qm7x(tmp_path):
    path = tmp_path / "1000.hdf5"
    with h5py.File(path, "w") as file:
        for i in range(2):
            group = file.create_group(f"1/Geom-m1-i1-c1-{'opt' if i == 0 else 'd1'}")
            group["atNUM"] = NUMBERS
            group["atXYZ"] = FRAMES[i]
            group["ePBE0+MBD"] = ENERGIES[i : i + 1]
            group["totFOR"] = FORCES[i]
            group["vdwFOR"] = np.zeros((3, 3))
    names = [frame.where for frame in scan(path)]
    assert "Geom-m1-i1-c1-d1" in names[0]
    with h5py.File(path) as file:  # names sort: d1 before opt
        assert list(file["1"]) == ["Geom-m1-i1-c1-d1", "Geom-m1-i1-c1-opt"]
    found = {round(f.labels.energy, 3): f for f in read_labelled(path)}
    for x, e, f in zip(FRAMES, ENERGIES, FORCES, strict=True):
        np.testing.assert_array_equal(found[e].structure.positions, x)
        np.testing.assert_array_equal(found[e].labels.forces, f)


@pytest.mark.parametrize("layout", ["rmd17", "md17"])
def test_md17(tmp_path, layout):
    path = tmp_path / f"{layout}_water.npz"
    names = {
        "rmd17": ("nuclear_charges", "coords", "energies", "forces"),
        "md17": ("z", "R", "E", "F"),
    }[layout]
    shape = (2,) if layout == "rmd17" else (2, 1)
    columns = (
        NUMBERS.astype(np.uint8),
        FRAMES,
        (ENERGIES / KCAL_PER_MOL).reshape(shape),
        FORCES / KCAL_PER_MOL,
    )
    np.savez(path, old_indices=np.arange(2), **dict(zip(names, columns, strict=True)))
    assert check(path)[0].structure.family == f"{layout}_water"


def test_columns_of_unequal_length(tmp_path):
    spice(tmp_path / "a.h5", dft_total_energy=np.zeros(3))
    with pytest.raises(DataError, match=r"group 'water': 'dft_total_energy' has shape \(3,\)"):
        list(read_labelled(tmp_path / "a.h5"))
    spice(tmp_path / "b.h5", dft_total_gradient=np.zeros((2, 2, 3)))
    with pytest.raises(DataError, match=r"'dft_total_gradient' has shape \(2, 2, 3\)"):
        list(read_labelled(tmp_path / "b.h5"))


def test_missing_columns(tmp_path):
    spice(tmp_path / "a.h5", dft_total_gradient=None)
    with pytest.raises(DataError, match="no forces under the key 'dft_total_gradient'"):
        list(read_labelled(tmp_path / "a.h5"))
    spice(tmp_path / "b.h5", conformations=None)
    with pytest.raises(DataError, match="known HDF5 layout"):
        list(read_labelled(tmp_path / "b.h5"))
    spice(tmp_path / "c.h5", atomic_numbers=None)
    with pytest.raises(DataError, match=r"c\.h5"):
        list(read_labelled(tmp_path / "c.h5"))


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".db"])
def test_truncated_binary_files(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    if suffix == ".h5":
        spice(path)
    elif suffix == ".npz":
        np.savez(path, nuclear_charges=NUMBERS, coords=FRAMES, energies=ENERGIES, forces=FORCES)
    else:
        write(path, [Labelled(WATER, Labels(-1.0, FORCES[0]))] * 20)
    whole = path.read_bytes()
    for kept in (0, 1, len(whole) // 10, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:kept])
        with pytest.raises(DataError, match=rf"a\{suffix}"):
            list(read_labelled(path))


def test_npz_of_something_else(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    with pytest.raises(DataError, match="with x"):
        list(scan(tmp_path / "a.npz"))
    np.save(tmp_path / "b", np.zeros(3))
    (tmp_path / "b.npy").rename(tmp_path / "b.npz")
    with pytest.raises(DataError, match=r"b\.npz"):
        list(scan(tmp_path / "b.npz"))


@pytest.mark.parametrize("suffix", [".h5", ".extxyz", ".db"])
def test_a_folder_that_is_not_there(tmp_path, suffix):
    path = tmp_path / "absent" / f"a{suffix}"
    with pytest.raises(DataError, match="absent"):
        write(path, [Labelled(WATER, Labels(-1.0, FORCES[0]))])


def xz(path, text, **options):
    path.write_bytes(lzma.compress(text.encode(), **options))
    return path


def test_extxyz_compressed_by_xz_reads_as_what_it_was(tmp_path):
    frames = [Labelled(WATER.replace(positions=x), Labels(-1.0, FORCES[0])) for x in FRAMES]
    plain = tmp_path / "a.extxyz"
    write(plain, frames)
    path = xz(tmp_path / "a.extxyz.xz", plain.read_text(), preset=9)
    assert list(map(repr, read_labelled(path))) == list(map(repr, read_labelled(plain)))
    assert len(list(scan(xz(tmp_path / "b.XYZ.xz", plain.read_text() * 400)))) == 800


def test_damaged_compressed_files_are_refused(tmp_path):
    frame = extxyz_text(WATER, Labels(-1.0, FORCES[0]))
    path = xz(tmp_path / "a.xyz.xz", frame * 500)
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    with pytest.raises(DataError, match=r"a whole file of xz.*truncated"):
        list(read_labelled(path))
    path.write_bytes(b"7z" + whole)
    with pytest.raises(DataError, match="a whole file of xz"):
        list(read_labelled(path))
    with pytest.raises(DataError, match="expected one of"):
        list(scan(xz(tmp_path / "a.db.xz", frame)))


def test_a_compressed_file_cannot_fill_the_memory(tmp_path):
    path = xz(tmp_path / "bomb.xyz.xz", "1\n" + " " * 3_000_000)
    with open_text(path, most=1_000_000) as file:
        assert len(file.read(999_000)) == 999_000
        with pytest.raises(DataError, match="at most 1000000 bytes"):
            file.read()
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    greedy = xz(tmp_path / "greedy.xyz.xz", "1\n", filters=filters)
    with pytest.raises(DataError, match=r"[Mm]emory"):
        list(scan(greedy))


def test_a_data_set_larger_than_its_file_is_refused(tmp_path):
    with h5py.File(tmp_path / "bomb.h5", "w") as file:
        group = file.create_group("water")
        group["atomic_numbers"] = [8, 1, 1]
        # nothing is stored of it: all of it is the fill value
        group.create_dataset("conformations", (10**8, 3, 3), np.float32, chunks=(1, 3, 3))
    with pytest.raises(DataError, match="7200000000 bytes, more than"):
        list(scan(tmp_path / "bomb.h5"))

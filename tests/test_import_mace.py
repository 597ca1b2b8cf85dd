"""Models of mace-torch: the same energies and forces; what cannot be represented is refused.

The references are models of mace-torch 0.3.16 with random weights, as numbers and as the file that
``torch.save`` wrote, and their energies and forces of a displaced acetamide, in float64.
"""

import json
import pickle
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from kshot.atoms import Structure
from kshot.atoms.graph import graph
from kshot.cli.main import app
from kshot.core.errors import InputError, ModelFileError
from kshot.potentials import energy_and_forces
from kshot.potentials.mace_torch import convert, from_arrays, read_export, read_saved
from kshot.potentials.mace_torch.exported import sizes
from kshot.potentials.model_file import load

DATA = Path(__file__).parent / "data"
REFERENCE = DATA / "mace_torch_reference.npz"
SAVED, OF_SAVED = DATA / "mace_tiny.model", DATA / "mace_tiny_reference.npz"


@pytest.fixture(scope="module")
def stored() -> dict[str, np.ndarray]:
    return dict(np.load(REFERENCE))


def check(stored: dict[str, np.ndarray]) -> Structure:
    return Structure(stored["check/numbers"], stored["check/positions"])


def changed(stored: dict[str, np.ndarray], **fields: object) -> dict[str, np.ndarray]:
    about = json.loads(str(stored["about"]))
    about["hyper_parameters"] |= fields
    return stored | {"about": np.array(json.dumps(about))}


@pytest.mark.usefixtures("x64")
def test_energy_and_forces_of_mace_torch(stored):
    found = convert(read_export(REFERENCE))
    shapes = jax.eval_shape(found.potential.init, jax.random.key(0))
    params = jax.tree.map(jnp.asarray, found.params)
    assert jax.tree.map(jnp.shape, shapes) == jax.tree.map(jnp.shape, params)
    molecule = check(stored)
    made = graph(molecule, found.potential.cutoff, np.float64)
    energy, forces = jax.jit(lambda p, g: energy_and_forces(found.potential, p, g))(params, made)
    rest = stored["check/energy"][0] - sum(found.e0s[int(z)] for z in molecule.numbers)
    assert abs(float(energy)) > 1e-3
    # the reference is a sum with E0s of thousands of eV: so many digits are left of the rest.
    assert float(energy) == pytest.approx(rest, abs=1e-11)
    np.testing.assert_allclose(forces, stored["check/forces"], atol=1e-13)


@pytest.mark.usefixtures("x64")
def test_tables_in_single_precision_are_recognised(stored):
    # checkpoints are often trained, and saved, in float32: their tables are rounded to it
    rounded = {
        name: array.astype(np.float32).astype(array.dtype) if "U_matrix" in name else array
        for name, array in stored.items()
    }
    assert any((rounded[name] != stored[name]).any() for name in stored if "U_matrix" in name)
    ours, exact = (convert(from_arrays(one, "a test")) for one in (rounded, stored))
    pairs = zip(jax.tree.leaves(ours.params), jax.tree.leaves(exact.params), strict=True)
    for found, wanted in pairs:
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_an_imported_model_is_a_model_file(stored, tmp_path):
    out = tmp_path / "imported.kshot"
    done = CliRunner().invoke(
        app, ["import-mace", str(REFERENCE), "-o", str(out), "--dtype", "float64"]
    )
    assert done.exit_code == 0, done.output
    assert "cutoff 5.0 Å" in done.output
    model = load(out)
    assert model.seen.elements == (1, 6, 7, 8)
    with jax.enable_x64(True):
        labels = model.predict([check(stored)])[0]
    assert labels.energy == pytest.approx(stored["check/energy"][0], rel=1e-13)
    np.testing.assert_allclose(labels.forces, stored["check/forces"], atol=1e-12)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("class", "MACE"),
        ("num_polynomial_cutoff", 6),
        ("pair_repulsion", True),
        ("radial_type", "GaussianBasis"),
        ("distance_transform", "AgnesiTransform"),
        ("heads", ["one", "two"]),
        ("gate", "tanh"),
        ("interactions", ["RealAgnosticDensityInteractionBlock"] * 2),
        ("interactions", ["RealAgnosticInteractionBlock"]),
        ("correlation", [[2, 2], [3]]),
        ("MLP_irreps", "16x0e+4x1o"),
        ("product_irreps", ["8x0e+4x1o", "8x0e"]),
    ],
)
def test_what_mlip_cannot_represent_is_refused_by_name(stored, field, value):
    word = {"interactions": "inter"}.get(field, field)
    with pytest.raises(ModelFileError, match=word):
        sizes(from_arrays(changed(stored, **{field: value}), "a test"))


class Trap:
    """Unpickling it is recorded."""

    opened = False

    def __reduce__(self) -> tuple:
        return _spring, ()


def _spring() -> None:
    Trap.opened = True


def test_a_pickle_is_read_and_never_run(tmp_path):
    file = tmp_path / "trained.model"
    file.write_bytes(pickle.dumps(Trap()))
    with zipfile.ZipFile(tmp_path / "zipped.model", "w") as archive:
        archive.writestr("zipped/data.pkl", pickle.dumps(Trap(), protocol=2))
        archive.writestr("zipped/byteorder", "little")
    for name in ("trained.model", "zipped.model"):
        with pytest.raises(ModelFileError):
            read_saved(tmp_path / name)
    assert not Trap.opened


@pytest.mark.usefixtures("x64")
def test_a_model_file_of_mace_torch_gives_its_energies_and_forces():
    converted, check = convert(read_saved(SAVED)), dict(np.load(OF_SAVED))
    structure = Structure(check["acetamide/numbers"], check["acetamide/positions"])
    params = jax.tree.map(jnp.asarray, converted.params)
    energy, forces = energy_and_forces(
        converted.potential, params, graph(structure, converted.potential.cutoff)
    )
    whole = float(energy) + sum(converted.e0s[int(z)] for z in structure.numbers)
    np.testing.assert_allclose(whole, check["acetamide/energy"][0], atol=1e-7)
    np.testing.assert_allclose(forces, check["acetamide/forces"], atol=1e-7)


def test_a_model_file_becomes_a_model_of_kshot(tmp_path):
    out = tmp_path / "tiny.kshot"
    result = CliRunner().invoke(app, ["import-mace", str(SAVED), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert "MACE of H, C, N, O, cutoff 4.5" in result.stdout
    assert load(out).record["imported"]["file"] == "mace_tiny.model"


def test_a_file_of_another_class_is_refused_by_its_name(tmp_path):
    with pytest.raises(ModelFileError, match=r"ScaleShiftMACE; got so3krates_torch.*SO3LR"):
        read_saved(DATA / "so3lr_random.model")
    gone = CliRunner().invoke(app, ["import-mace", str(tmp_path / "no.model"), "-o", "x.kshot"])
    assert isinstance(gone.exception, InputError)


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_a_damaged_model_file_is_refused_or_read(tmp_path_factory, place, byte):
    whole = bytearray(SAVED.read_bytes())
    whole[place % len(whole)] = byte
    file = tmp_path_factory.mktemp("damaged") / "tiny.model"
    file.write_bytes(bytes(whole))
    try:
        read_saved(file)
    except ModelFileError as error:
        assert "expected" in str(error)  # noqa: PT017


@settings(max_examples=60, deadline=None)
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
@example(place=52714, byte=64)  # made by a later zip
@example(place=52716, byte=1)  # encrypted
@example(place=52716, byte=32)  # patched
def test_a_damaged_export_is_refused_or_read(tmp_path_factory, place, byte):
    whole = bytearray(REFERENCE.read_bytes())
    whole[place % len(whole)] = byte
    file = tmp_path_factory.mktemp("damaged") / "model.npz"
    file.write_bytes(bytes(whole))
    try:
        read_export(file)
    except ModelFileError as error:
        assert "export" in str(error)  # noqa: PT017


def test_another_npz_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ModelFileError, match="about"):
        read_export(tmp_path / "other.npz")

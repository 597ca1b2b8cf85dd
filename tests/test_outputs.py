"""Nothing is written onto an input, or silently onto what is there; modes and links stay."""

import os
import stat
from pathlib import Path

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from kshot.atoms import Labelled
from kshot.atoms.files import read_labelled, write
from kshot.cli.main import app
from kshot.core.errors import OutputError
from kshot.core.outputs import claim_outputs
from kshot.core.whole import whole
from kshot.labelers import Ledger, labeler
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_file import lineage, load, save
from methanol import METHANOL


def run(*words: str | Path) -> str:
    return (
        CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False).stdout or ""
    )


def morse() -> Model:
    potential = potentials.get("morse")((1, 6, 8))
    params = potential.init(jax.random.key(0))
    return Model(potential, params, {1: -1.0, 6: -2.0, 8: -3.0}, Seen((1, 6, 8)))


def moved(model: Model, by: float = 1e-3) -> Model:
    return model.with_(params=jax.tree.map(lambda leaf: leaf + np.float32(by), model.params))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A start, a delta on it, labelled frames and a ledger."""
    rng, engine = np.random.default_rng(0), labeler("analytic")
    made = [
        METHANOL.replace(positions=METHANOL.positions + 0.05 * rng.standard_normal((6, 3)))
        for _ in range(4)
    ]
    save(morse(), tmp_path / "start.kshot")
    save(moved(morse()), tmp_path / "delta.kshot", parent=tmp_path / "start.kshot")
    write(tmp_path / "k.extxyz", [Labelled(one, engine.label(one)) for one in made])
    Ledger(tmp_path / "paid.ledger").close()
    (tmp_path / "there").write_text("dear")
    (tmp_path / "there.png").write_text("dear")
    (tmp_path / "there.extxyz").write_text("dear")
    (tmp_path / "there.kshot").write_text("dear")
    (tmp_path / "train.yaml").write_text("seed: 1")
    return tmp_path


# --- the claim -----------------------------------------------------------------------------------


def test_what_is_there_is_replaced_only_by_force(folder: Path):
    with pytest.raises(OutputError, match=r"there, which exists.*--force"):
        claim_outputs([folder / "there"])
    claim_outputs([folder / "there", folder / "new"], force=True)
    claim_outputs([folder / "new"])
    assert not (folder / "new").exists()


@pytest.mark.parametrize("name", ["there", "soft", "hard", "sub/../there"])
def test_an_input_is_never_an_output_however_it_is_named(folder: Path, name: str):
    (folder / "sub").mkdir()
    (folder / "soft").symlink_to("there")
    (folder / "hard").hardlink_to(folder / "there")
    with pytest.raises(OutputError, match="read or needed"):
        claim_outputs([folder / name], inputs=[folder / "there"], force=True)


def test_outputs_are_apart_and_plain_files(folder: Path):
    with pytest.raises(OutputError, match="another output"):
        claim_outputs([folder / "new", folder / "sub" / ".." / "new"])
    for path in (folder, Path(os.devnull)):
        with pytest.raises(OutputError, match="no plain file"):
            claim_outputs([path], force=True)


# --- every verb ----------------------------------------------------------------------------------

ADAPT = ("adapt", "start.kshot", "k.extxyz")
EXISTING = {
    "adapt": (*ADAPT, "-o", "there.kshot"),
    "adapt, labels": (*ADAPT, "-o", "k.kshot"),
    "adapt, report": (*ADAPT, "-o", "new.kshot", "--report", "there"),
    "train": ("train", "train.yaml", "-o", "there.kshot"),
    "label": ("label", "k.extxyz", "--engine", "analytic", "-o", "there.extxyz"),
    "export": ("export", "start.kshot", "-o", "there.kshot"),
    "import-mace": ("import-mace", "there", "-o", "there.kshot"),
    "ledger": ("ledger", "export", "paid.ledger", "there.extxyz"),
    "convert": ("data", "convert", "k.extxyz", "-o", "there.extxyz"),
    "check": ("data", "check", "k.extxyz", "--plot", "there.png"),
    "show": ("families", "show", "water", "--xyz", "there.extxyz"),
    "sample": ("families", "sample", "water", "-n", "1", "-o", "there.extxyz"),
    "sample, failures": ("families", "sample", "water", "-n", "1", "-o", "new.extxyz"),
    "build": ("families", "build", "none.pdb", "-o", "there.extxyz"),
}


@pytest.mark.parametrize("verb", EXISTING)
def test_no_verb_replaces_a_file_in_silence(folder: Path, monkeypatch, verb: str):
    monkeypatch.chdir(folder)
    (folder / "k.labels.extxyz").write_text("dear")
    (folder / "new.extxyz.failures.json").write_text("dear")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputError, match="which exists"):
        run(*EXISTING[verb])
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


ONTO_INPUT = {
    "adapt onto its start": (*ADAPT, "-o", "start.kshot"),
    "adapt onto a delta's start": ("adapt", "delta.kshot", "k.extxyz", "-o", "start.kshot"),
    "adapt onto its labels": (*ADAPT, "-o", "k.extxyz"),
    "adapt beside its labels": ("adapt", "start.kshot", "k.labels.extxyz", "-o", "k.kshot"),
    "adapt onto its ledger": (*ADAPT, "-o", "k.ledger"),
    "report onto the output": (*ADAPT, "-o", "new.kshot", "--report", "new.kshot"),
    "report onto the start": (*ADAPT, "-o", "new.kshot", "--report", "start.kshot"),
    "train": ("train", "train.yaml", "-o", "train.yaml"),
    "label": ("label", "k.extxyz", "--engine", "analytic", "-o", "k.extxyz"),
    "label onto the ledger": ("label", "k.extxyz", "--ledger", "paid.ledger", "-o", "paid.ledger"),
    "export": ("export", "delta.kshot", "-o", "start.kshot"),
    "import-mace": ("import-mace", "there", "-o", "there"),
    "ledger": ("ledger", "export", "paid.ledger", "paid.ledger"),
    "convert": ("data", "convert", "k.extxyz", "-o", "k.extxyz"),
    "check": ("data", "check", "there.png", "--plot", "there.png"),
    "sample": ("families", "sample", "water", "--ledger", "paid.ledger", "-o", "paid.ledger"),
    "build": ("families", "build", "there.extxyz", "-o", "there.extxyz"),
}


@pytest.mark.parametrize("verb", ONTO_INPUT)
def test_no_verb_writes_onto_its_input_even_by_force(folder: Path, monkeypatch, verb: str):
    monkeypatch.chdir(folder)
    (folder / "k.labels.extxyz").write_bytes((folder / "k.extxyz").read_bytes())
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(OutputError, match="an output of its own"):
        run(*ONTO_INPUT[verb], "--force")
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_force_replaces(folder: Path, monkeypatch):
    monkeypatch.chdir(folder)
    run("data", "convert", "k.extxyz", "-o", "there.extxyz", "--force")
    assert len(list(read_labelled(folder / "there.extxyz"))) == 4


# --- deltas --------------------------------------------------------------------------------------


def test_a_delta_is_never_written_onto_what_it_stands_on(folder: Path):
    start, delta = folder / "start.kshot", folder / "delta.kshot"
    assert lineage(delta) == [delta, start]
    (folder / "link.kshot").symlink_to("start.kshot")
    before = start.read_bytes()
    third = moved(load(delta))
    for path, parent in (
        (start, start),
        (start, load(start)),
        (folder / "link.kshot", start),
        (start, delta),
        (delta, delta),
    ):
        with pytest.raises(OutputError, match="which it stands on"):
            save(third, path, parent=parent)
    assert start.read_bytes() == before
    save(third, folder / "third.kshot", parent=delta)
    assert load(folder / "third.kshot").digest == third.digest
    save(third, start)  # with all parameters it stands on nothing
    assert load(start).digest == third.digest


# --- modes and links -----------------------------------------------------------------------------


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("mask", "expected"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path, umask, mask: int, expected: int):
    umask(mask)
    with whole(tmp_path / "a", durable=True) as part:
        part.write_text("x")
        assert mode(part) == expected
    write(tmp_path / "a.db", [METHANOL])
    assert mode(tmp_path / "a") == mode(tmp_path / "a.db") == expected


@pytest.mark.parametrize("given", [0o600, 0o640, 0o755, 0o444])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path, umask, given: int):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(given)
    with whole(path) as part:
        part.write_text("new")
        assert mode(part) == 0o600  # nobody else reads it before it has its mode
    assert (path.read_text(), mode(path)) == ("new", given)


@pytest.mark.parametrize("target", ["real/a", "real/not-yet"])
def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path, target: str):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("old")
    link = tmp_path / "link"
    link.symlink_to(target)
    with whole(link) as part:
        part.write_text("new")
        assert part.parent == tmp_path / "real"  # a rename across disks would not be atomic
    assert link.is_symlink()
    assert (tmp_path / target).read_text() == "new"
    assert not list(tmp_path.glob("**/.*"))


def test_a_failure_leaves_what_was_there(tmp_path: Path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(RuntimeError), whole(tmp_path / "a") as part:  # noqa: PT012
        part.write_text("half")
        raise RuntimeError
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("a", "old")]


def test_devices_and_folders_are_not_replaced(tmp_path: Path):
    for path in (tmp_path, Path(os.devnull)):
        with pytest.raises(OSError, match="no plain file"), whole(path):
            pytest.fail("the block was entered")
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("name", ["a.db", "a.h5", "a.extxyz"])
def test_writers_replace_whole_files(folder: Path, name: str):
    path, frames = folder / name, list(read_labelled(folder / "k.extxyz"))
    assert write(path, frames) == 4
    assert write(path, frames[:2]) == 2
    before = path.read_bytes()

    def broken():
        yield frames[0]
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write(path, broken())
    assert path.read_bytes() == before
    assert len(list(read_labelled(path))) == 2

"""`kshot export`: the same predictions, from a file that stands alone."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
from typer.testing import CliRunner

from kshot.cli.main import app
from kshot.core.errors import InputError, ModelFileError, UnknownNameError
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_file import load, save
from methanol import METHANOL


def export(*words: str | Path) -> str:
    done = CliRunner().invoke(app, ["export", *map(str, words)], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def delta(tmp_path: Path) -> Path:
    """A model that is a delta on the start beside it."""
    potential = potentials.get("morse")((1, 6, 8))
    params = potential.init(jax.random.key(0))
    start = Model(potential, params, {1: -1.0, 6: -2.0, 8: -3.0}, Seen((1, 6, 8)))
    save(start, tmp_path / "start.kshot")
    moved = start.with_(params=params | {"length": params["length"] + 0.1}, record={"K": 5})
    save(moved, tmp_path / "delta.kshot", parent=tmp_path / "start.kshot")
    return tmp_path / "delta.kshot"


def said(path: Path) -> tuple[float, bytes]:
    (labels,) = load(path).predict([METHANOL])
    return labels.energy, labels.forces.tobytes()


def test_a_delta_leaves_its_start_behind(delta: Path, tmp_path: Path):
    before, start = said(delta), load(delta.with_name("start.kshot"))
    away = tmp_path / "away" / "whole.kshot"
    found = json.loads(export(delta, "-o", away, "--json"))
    assert found["source"]["start"] == start.digest
    assert (found["elements"], found["parameters"]) == (["H", "C", "O"], 9)
    assert found["bytes"] == away.stat().st_size
    delta.with_name("start.kshot").unlink()
    with pytest.raises(ModelFileError, match="the start of"):
        load(delta)
    assert said(away) == before
    assert load(away).digest == found["digest"] == found["source"]["digest"]
    assert load(away).record["K"] == 5


def test_a_start_that_was_moved_is_named(delta: Path, tmp_path: Path):
    before = said(delta)
    elsewhere = delta.with_name("start.kshot").rename(tmp_path / "renamed.kshot")
    out = tmp_path / "whole.kshot"
    with pytest.raises(ModelFileError, match=r"called 'start\.kshot'"):
        export(delta, "-o", out)
    assert not out.exists()
    text = export(delta, "-o", out, "--start", elsewhere)
    assert "morse of H, C, O, 9 parameters in float32" in text
    assert f"delta on the start {load(elsewhere).digest[:12]}" in text
    assert said(out) == before


def test_other_precision(delta: Path, tmp_path: Path):
    text = export(delta, "-o", tmp_path / "double.kshot", "--dtype", "float64")
    assert "in float64" in text
    assert f"those of delta.kshot ({load(delta).digest[:12]})" in text
    assert load(tmp_path / "double.kshot").dtype == np.float64
    with jax.enable_x64(True):
        energy, _ = said(tmp_path / "double.kshot")
    assert energy == pytest.approx(said(delta)[0], rel=1e-5)
    export(tmp_path / "double.kshot", "-o", tmp_path / "single.kshot", "--dtype", "float32")
    assert said(tmp_path / "single.kshot") == said(delta)


def test_a_shipped_start(tmp_path: Path):
    text = export("bio-small", "-o", tmp_path / "bio.kshot")
    assert "delta" not in text
    assert load(tmp_path / "bio.kshot").seen.elements[0] == 1


def test_nothing_is_replaced_unasked(delta: Path, tmp_path: Path):
    out = tmp_path / "notes.kshot"
    out.write_text("mine")
    with pytest.raises(InputError, match="--force"):
        export(delta, "-o", out)
    assert out.read_text() == "mine"
    export(delta, "-o", out, "--force")
    assert said(out) == said(delta)


def test_damaged_files_and_unknown_names(delta: Path, tmp_path: Path):
    delta.write_bytes(delta.read_bytes()[:-30])
    with pytest.raises(ModelFileError, match="damaged"):
        export(delta, "-o", tmp_path / "out.kshot")
    with pytest.raises(UnknownNameError, match="no file and no start"):
        export("nothing", "-o", tmp_path / "out.kshot")
    assert not (tmp_path / "out.kshot").exists()

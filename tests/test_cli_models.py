"""`kshot models`: counts at once, costs on request, files said in plain words."""

import json

import jax
import pytest
from typer.testing import CliRunner

from kshot.cli.main import app
from kshot.core.errors import ModelFileError, OptionError, UnknownNameError
from kshot.potentials import model_cost, potentials
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_file import save

GFN2 = '{"basis": "", "method": "GFN2-xTB", "program": "tblite", "settings": {}, "version": "0.5"}'


def kshot(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert done.exit_code == 0
    return done.stdout


@pytest.fixture
def file(tmp_path):
    """A model file, and a delta on it."""
    potential = potentials.get("morse")((1, 6))
    params = potential.init(jax.random.key(0))
    start = Model(potential, params, {1: -13.6, 6: -1029.5}, Seen((1, 6), levels=(GFN2,)))
    save(start, tmp_path / "a.kshot")
    moved = start.with_(params=params | {"length": params["length"] + 1}, record={"K": [5, 20]})
    save(moved, tmp_path / "delta.kshot", parent=tmp_path / "a.kshot")
    return tmp_path / "a.kshot"


def test_list_without_measuring_counts_all_sizes(monkeypatch):
    def never(*_):
        pytest.fail("a network was built")

    for name in ("measure", "named", "network"):
        monkeypatch.setattr(model_cost, name, never)
    found = json.loads(kshot("list", "--json"))
    listed = {(row["architecture"], row["size"]) for row in found["networks"]}
    assert listed == set(model_cost.sizes())
    assert all(set(row) == {"architecture", "size", "parameters"} for row in found["networks"])
    text = kshot("list", "nequip")
    assert "3,140" in text
    assert "mace" not in text


@pytest.mark.parametrize("name", [name for name, size in model_cost.sizes() if size == "tiny"])
def test_counts_of_tiny_networks_are_as_written(name):
    count = model_cost.parameters(model_cost.named(name, "tiny"))
    assert model_cost.PARAMETERS[name]["tiny"] == count


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size"), [(name, size) for name, size in model_cost.sizes() if size != "tiny"]
)
def test_counts_of_networks_are_as_written(name, size):
    count = model_cost.parameters(model_cost.named(name, size))
    assert model_cost.PARAMETERS[name][size] == count


@pytest.mark.slow
def test_cost_is_measured():
    [row] = json.loads(kshot("list", "mace:tiny", "--measure", "--json"))["networks"]
    assert 0 < row["energy_ms"] < row["gradient_ms"]
    assert row["compile_s"] > 0
    assert len(model_cost.alanine_dipeptide()) == 22


def test_unknown_networks_are_all_named():
    with pytest.raises(OptionError, match="macee, mace:huge"):
        kshot("list", "macee", "mace:huge", "mace:tiny")


def test_show_says_what_a_file_holds(file):
    text = kshot("show", str(file))
    for line in ("kind: model", "potential: morse", "seen.elements: H, C", "parameters: 6"):
        assert line in text.splitlines()
    assert "seen.levels: GFN2-xTB (tblite 0.5)" in text
    assert "manifest.units.energy: eV" in text
    whole = json.loads(kshot("show", str(file), "--json"))
    delta = json.loads(kshot("show", str(file.with_name("delta.kshot")), "--json"))
    assert delta["kind"] == f"delta on {whole['digest']}"
    assert delta["parameters"] == 2
    assert delta["record"] == {"K": [5, 20]}


def test_show_of_no_file_or_a_damaged_one(file):
    with pytest.raises(UnknownNameError, match="no file and no start"):
        kshot("show", "nothing")
    file.write_bytes(file.read_bytes()[:-30])
    with pytest.raises(ModelFileError, match="damaged"):
        kshot("show", str(file))

"""The demo: what it says of the start, and that nothing is fitted to its test frames."""

import jax
import numpy as np
import pytest

from kshot.atoms import Labelled, Labels
from kshot.demo.plan import PLANS, standing, with_start
from kshot.pipeline.evaluate import compare
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from methanol import METHANOL

RECORD = {
    "families": ["water"],
    "config": {"families": {"held_out": ["penam"], "relatives": [], "validation": ["urea"]}},
}


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("water", "was trained on"),
        ("urea", "prior was learned on it"),
        ("penam", "held out"),
        ("mine", "does not name"),
    ],
)
def test_what_the_start_has_to_do_with_a_family_is_read_from_its_record(family, words):
    assert words in standing(RECORD, family)


def test_a_constant_in_the_energies_of_test_frames_is_an_error():
    potential = potentials.get("morse")((1, 6, 8))
    e0s = {1: -1.0, 6: -2.0, 8: -3.0}
    model = Model(potential, potential.init(jax.random.key(0)), e0s, Seen((1, 6, 8)))
    rng = np.random.default_rng(0)
    structures = [
        METHANOL.replace(positions=METHANOL.positions + 0.05 * rng.standard_normal((6, 3)))
        for _ in range(3)
    ]
    predictions = model.predict(structures)
    exact = [
        Labelled(structure, Labels(prediction.energy, prediction.forces))
        for structure, prediction in zip(structures, predictions, strict=True)
    ]
    shifted = [
        Labelled(frame.structure, Labels(frame.labels.energy + 2.0, frame.labels.forces))
        for frame in exact
    ]
    assert compare({"model": model}, exact).errors["model"].energy == pytest.approx(0, abs=1e-6)
    assert compare({"model": model}, shifted).errors["model"].energy == pytest.approx(2.0)


def test_without_an_index_the_shipped_start_is_adapted_and_this_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("KSHOT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    said: list[str] = []
    plan = with_start(PLANS["dft"], said.append)
    assert plan == PLANS["dft"]._replace(start="bio-small")
    assert "cannot be had" in said[-1]
    assert with_start(PLANS["gfn2"], said.append) == PLANS["gfn2"]
    assert len(said) == 2

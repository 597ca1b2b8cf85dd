"""Which level of theory the start, the labels and the test frames are of: always said."""

import dataclasses

import jax
import pytest

from kshot.atoms import Fingerprint, Labelled, Labels
from kshot.pipeline.evaluate import evaluate
from kshot.pipeline.levels import level_of, levels_sentence, shifts
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from methanol import METHANOL

DFT = Fingerprint("pyscf", "2.14.0", "wb97x-d3bj", "def2-svp")
GFN2 = Fingerprint("tblite", "0.8.0", "GFN2-xTB")
E0S = {1: -1.0, 6: -2.0, 8: -3.0}


@pytest.fixture(scope="module")
def model() -> Model:
    potential = potentials.get("morse")((1, 6, 8))
    seen = Seen((1, 6, 8), levels=(DFT.text, GFN2.text))
    return Model(potential, potential.init(jax.random.key(0)), E0S, seen)


def frames(model: Model, *levels: Fingerprint | None) -> list[Labelled]:
    """Labels that the model predicts exactly, of these levels."""
    [labels] = model.predict([METHANOL])
    return [
        Labelled(METHANOL, Labels(labels.energy, labels.forces, fingerprint=level))
        for level in levels
    ]


def test_a_model_predicts_the_last_level_it_has_seen(model):
    assert level_of(model) == "GFN2-xTB (tblite 0.8.0)"
    assert not level_of(model.with_(seen=Seen((1, 6, 8))))


def test_test_frames_of_another_level_are_said_to_be(model):
    assert evaluate(model, frames(model, GFN2, None)).warnings == ()
    [warning] = evaluate(model, frames(model, DFT, GFN2)).warnings
    assert warning.startswith("1 of 2 labels are of wb97x-d3bj/def2-svp (pyscf 2.14.0), and")
    other = dataclasses.replace(GFN2, settings={"accuracy": 1.0})
    [warning] = evaluate(model, frames(model, other)).warnings
    assert "with other settings" in warning


def test_a_start_of_no_stated_level_warns_of_none(model):
    bare = model.with_(seen=Seen((1, 6, 8)))
    assert evaluate(bare, frames(bare, DFT)).warnings == ()


def test_what_moves_the_zero_is_summed_over_the_formula(model):
    adapted = model.with_(e0s={1: -1.5, 6: -2.0, 8: -13.0})
    moved = shifts(model, adapted, frames(model, DFT))
    assert moved == {"CH4O": pytest.approx(4 * -0.5 - 10.0)}
    record = {"start_level": "", "level": str(DFT), "shifts_eV": moved}
    assert levels_sentence(record) == (
        "the start is of an unknown level of theory, labels of "
        "wb97x-d3bj/def2-svp (pyscf 2.14.0); the zero of energy was moved: -12.000 eV of CH4O"
    )
    assert levels_sentence(record | {"start_level": str(DFT)}).startswith("start and labels are of")

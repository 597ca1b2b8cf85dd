"""Nothing is fitted to test frames, and no shot is among them: poisoned labels say so."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from kshot.atoms import Labelled, Labels
from kshot.pipeline.evaluate import evaluate
from kshot.pipeline.study import Row, draws_of, pool_of
from kshot.pipeline.study.closed import closed_form
from kshot.potentials.model import Model
from springs import rattled, start


def by(model: Model, frames: Sequence[Labelled], energy: float, force: float) -> list[Labelled]:
    """Frames labelled by the model itself, but for a constant in energies and in forces."""
    said = model.predict([one.structure for one in frames])
    return [
        Labelled(one.structure, Labels(labels.energy + energy, labels.forces + force))
        for one, labels in zip(frames, said, strict=True)
    ]


def test_a_constant_in_test_energies_is_an_error_and_so_is_one_in_forces():
    model, frames = start(), rattled(4)
    sound = evaluate(model, by(model, frames, 0.0, 0.0))
    assert sound.energy_rmse_eV < 1e-4
    assert sound.force_rmse_eV_per_A < 1e-4
    off = evaluate(model, by(model, frames, 0.3, -0.2))
    assert off.energy_rmse_eV == pytest.approx(0.3, abs=1e-4)
    assert off.energy_rmse_eV_per_atom == pytest.approx(0.05, abs=1e-5)
    assert off.energy_rmse_kcal_per_mol == pytest.approx(0.3 * 23.0605, abs=3e-3)
    assert off.energy_rmse_centred_eV < 1e-4
    assert off.force_rmse_eV_per_A == pytest.approx(0.2, abs=1e-4)
    assert off.force_mae_eV_per_A == pytest.approx(0.2, abs=1e-4)


def studied(frames: Sequence[Labelled]) -> list[Row]:
    """The rows of one draw of six shots."""
    [draw] = draws_of(pool_of("springs", frames, 6), (6,), 1)
    return closed_form(start(), draw, (6,))


def test_a_study_is_tested_on_frames_that_taught_it_nothing():
    shots, test = rattled(8, 0, "shots-1"), rattled(6, 1, "test-same")
    wrong = [
        Labelled(one.structure, Labels(one.labels.energy + 20.0, one.labels.forces)) for one in test
    ]
    sound, poisoned = (studied([*shots, *part]) for part in (test, wrong))
    taught = ("method", "cv", "atoms", "factor", "steps")
    for before, after in zip(sound, poisoned, strict=True):
        assert [before.get(name) for name in taught] == [after.get(name) for name in taught]
        assert before["energy"] < 2
        assert after["energy"] == pytest.approx(20, abs=2)
        assert after["forces"] == before["forces"]


def test_a_study_sees_every_test_frame_and_no_shot():
    # shots that are wrong must be seen in what is learned, and never in what is tested on.
    shots, test = rattled(8, 0, "shots-1"), rattled(6, 1, "test-same")
    lifted = [
        Labelled(one.structure, Labels(one.labels.energy + 20.0, one.labels.forces))
        for one in shots
    ]
    for row in studied([*lifted, *test]):
        # every shot is 20 eV too high, so every prediction of a test frame is.
        assert np.isclose(row["energy"], 20, atol=2)

"""From a scaffold to tasks through a real ledger: failures stay out, provenance survives."""

import numpy as np
import pytest

from kshot.atoms import Failure, Labels
from kshot.core.errors import TaskError
from kshot.families.samplers import isotopes_of, samplers, with_isotopes
from kshot.fewshot import Setting, make_task
from kshot.fewshot.tasks import frames_of
from kshot.labelers import Ledger
from samplers_engines import Springs, water


class Moody(Springs):
    """It fails on every third structure."""

    asked = 0

    def label(self, structure):
        self.asked += 1
        if self.asked % 3 == 0:
            return Failure("not converged", "SCF: 250 cycles")
        return super().label(structure)


@pytest.fixture
def ledger(tmp_path):
    """Light and heavy water at two temperatures, each label in the ledger as it came."""
    springs = Springs(water())
    engine = Moody(water())
    with Ledger(tmp_path / "labels.ledger") as ledger:
        for structure in (water(), with_isotopes(water(), {"H": "D"})):
            for T in (100.0, 300.0):
                options = {"trajectories": 3, "warm_up": 20.0, "spacing": 5.0}
                frames = samplers.get("langevin")(
                    structure, springs, 12, temperature=T, seed=0, **options
                )
                for frame in frames:
                    ledger.put(frame, engine.fingerprint, engine.label(frame), 0.1)
        yield ledger


def test_tasks_from_a_ledger(ledger):
    assert sum(isinstance(row.result, Failure) for row in ledger.rows()) == 16
    frames = frames_of(ledger, "water")
    assert len(frames) == 32
    heavy = isotopes_of(with_isotopes(water(), {"H": "D"}))
    setting = Setting("water", 300.0, heavy, "pairs")
    task, record = make_task(ledger, setting, shots=2, query=2, gap=np.inf)
    assert record.frames == 8
    chosen = record.support + record.query
    assert {one.isotopes for one in chosen} == {heavy}
    assert {one.temperature for one in chosen} == {300.0}
    assert {s.trajectory for s in record.support}.isdisjoint(q.trajectory for q in record.query)
    labels = {row.structure.key: row.result for row in ledger.rows()}
    for one, energy, forces in zip(
        record.support, task.support.energy, task.support.forces, strict=True
    ):
        wanted = labels[one.key]
        assert isinstance(wanted, Labels)
        assert energy == pytest.approx(wanted.energy, abs=1e-6)
        assert np.allclose(forces, wanted.forces, atol=1e-5)


def test_a_second_level_in_the_ledger_is_never_mixed_in(ledger):
    row = next(iter(ledger.rows()))
    other = Springs(water(), 11.0)
    ledger.put(row.structure, other.fingerprint, other.label(row.structure), 0.1)
    with pytest.raises(TaskError, match="one level of theory"):
        make_task(ledger, Setting("water"), shots=2, query=2)
    digest = Springs(water()).fingerprint.digest
    assert make_task(ledger, Setting("water", level=digest), shots=2, query=2).record.frames == 32

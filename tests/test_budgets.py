"""Budgets extend: what is paid for or given stays in, only the rest is chosen and bought."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from kshot.atoms import Failure, Fingerprint, Labelled, Labels, Structure
from kshot.atoms.descriptors import descriptors, farthest_points
from kshot.atoms.files import read_labelled, write
from kshot.cli.main import app
from kshot.core.errors import TaskError, UnitError
from kshot.labelers import Ledger, executors, labeler
from kshot.labelers.analytic import Analytic, analytic
from kshot.pipeline import budget as budgets
from kshot.pipeline.adapt import Done, adapt_file
from kshot.pipeline.budget import MOLECULE, molecule_of
from kshot.pipeline.request import Request
from kshot.potentials.model_file import save
from methanol import METHANOL
from springs import poisoned, rattled, start

ALLOW = ("units",)  # the springs of the start are softer than those of the labels, by up to 1.8
DEFAULTS = {"engine": "analytic", "methods": ("shift",), "force": True, "allow": ALLOW}


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """Configurations are rattled, not walked: as many as asked for, the same at each call."""
    counts: list[int] = []

    def configurations(
        model: object, structures: list[Structure], count: int, *, seed: int, **options: object
    ) -> list[Structure]:
        counts.append(count)
        name = molecule_of(structures[0])
        frames = [one.structure for one in rattled(count, seed=1000 + seed)]
        return [one.replace(info={MOLECULE: name}) for one in frames]

    monkeypatch.setattr(budgets, "configurations", configurations)
    monkeypatch.setattr(budgets.executors, "Pool", lambda workers: executors.Local())
    return counts


@pytest.fixture
def ask(tmp_path: Path, drawn) -> Callable[..., tuple[Done, list[str]]]:
    """Adapt by the cheapest method; return what came of it, and what was said."""
    save(start(), tmp_path / "start.kshot")
    write(tmp_path / "methanol.extxyz", [METHANOL])

    def adapt(budget: int | None, name: str = "methanol.extxyz", **options) -> tuple[Done, list]:
        said: list[str] = []
        request = Request(
            str(tmp_path / "start.kshot"),
            tmp_path / name,
            tmp_path / "out.kshot",
            budget=budget,
            **DEFAULTS | options,
        )
        return adapt_file(request, said.append), said

    return adapt


def rows(tmp_path: Path) -> int:
    with Ledger(tmp_path / "out.ledger") as ledger:
        return len(list(ledger.rows()))


def keys(done: Done) -> set[str]:
    return {one.structure.key for one in done.labelled}


def test_a_raised_budget_keeps_what_was_paid_for_and_buys_the_rest(ask, tmp_path):
    first, _ = ask(6)
    second, said = ask(8)
    assert rows(tmp_path) == 8
    assert keys(first) < keys(second)
    assert len(second.labelled) == 8
    assert second.record["labels_paid"] == 8
    assert second.record["labels_bought"] == 2
    assert "budget 8: 6 labels are in the ledger; 2 to buy with" in said[-1]
    assert "failures count" in said[-1]


def test_the_same_budget_buys_nothing_and_a_smaller_one_uses_all(ask, tmp_path):
    first, _ = ask(6)
    again, said = ask(6)
    smaller, _ = ask(4)
    assert keys(first) == keys(again) == keys(smaller)
    assert again.record["labels_bought"] == smaller.record["labels_bought"] == 0
    assert "nothing is bought" in said[-1]
    assert rows(tmp_path) == 6
    assert again.record["candidates"] == first.record["candidates"]


def test_failures_count_as_paid(ask, tmp_path, monkeypatch):
    engine = analytic(failures=0.4)
    monkeypatch.setattr(budgets, "labeler", lambda name: engine)
    ask(8)
    done, said = ask(10)
    with Ledger(tmp_path / "out.ledger") as ledger:
        failed = sum(isinstance(row.result, Failure) for row in ledger.rows())
    assert rows(tmp_path) == 10
    assert done.record["failures"] == failed > 0
    assert len(done.labelled) == 10 - failed
    assert "failed)" in said[-1]


class Interrupted(Analytic):
    """An engine in whose fourth label somebody stops the run."""

    calls = 0

    def label(self, structure: Structure) -> Labels | Failure:
        Interrupted.calls += 1
        if Interrupted.calls == 4:
            raise KeyboardInterrupt
        return super().label(structure)


def test_a_run_that_was_stopped_goes_on_to_the_same_labels(ask, tmp_path, monkeypatch):
    whole, _ = ask(7)
    (tmp_path / "out.ledger").unlink()
    engine = Interrupted(failures=0.0, seconds=0.0)
    monkeypatch.setattr(budgets, "labeler", lambda name: engine)
    with pytest.raises(KeyboardInterrupt):
        ask(7)
    assert rows(tmp_path) == 3
    after, said = ask(7)
    assert "3 labels are in the ledger; 4 to buy" in said[-1]
    assert rows(tmp_path) == 7
    assert keys(after) == keys(whole)


def test_another_molecule_in_the_same_ledger_does_not_count(ask, tmp_path):
    ask(4)
    moved = METHANOL.positions.copy()
    moved[5] = moved[0] + [0.0, 0.1, -1.09]  # the hydroxyl's hydrogen goes to the carbon
    write(tmp_path / "isomer.extxyz", [METHANOL.replace(positions=moved)])
    isomer, _ = ask(4, "isomer.extxyz")
    assert isomer.record["labels_bought"] == 4
    assert len(isomer.labelled) == 4


def test_a_labelled_file_is_topped_up(ask, tmp_path, drawn):
    given = rattled(5)
    write(tmp_path / "given.extxyz", given)
    done, said = ask(8, "given.extxyz")
    assert [one.structure.key for one in done.labelled[:5]] == [one.structure.key for one in given]
    assert rows(tmp_path) == 3
    record = done.record
    assert (record["labels"], record["labels_given"], record["labels_bought"]) == (8, 5, 3)
    assert "budget 8: 5 labels are in the file; 3 to buy" in said[-1]
    more, said = ask(9, "given.extxyz")
    assert "5 labels are in the file; 3 labels are in the ledger; 1 to buy" in said[-1]
    assert rows(tmp_path) == 4
    assert keys(done) < keys(more)


def test_a_budget_below_the_labels_given_buys_nothing(ask, tmp_path):
    write(tmp_path / "given.extxyz", rattled(5))
    done, said = ask(3, "given.extxyz")
    assert len(done.labelled) == 5
    assert "nothing is bought" in said[-1]
    assert not (tmp_path / "out.ledger").exists()


def test_labels_of_the_file_are_not_counted_twice(ask, tmp_path):
    first, _ = ask(5)
    write(tmp_path / "copy.extxyz", first.labelled)
    done, _ = ask(6, "copy.extxyz")
    assert len(done.labelled) == 6
    assert done.record["labels_bought"] == 1
    assert rows(tmp_path) == 6


OTHER = Fingerprint("orca", "6", "b97-3c")


@pytest.mark.parametrize(("level", "says"), [(OTHER, "b97-3c"), (None, "a level not stated")])
def test_labels_of_another_level_are_topped_up_only_if_allowed(ask, tmp_path, level, says):
    given = [
        Labelled(one.structure, Labels(one.labels.energy, one.labels.forces, None, level))
        for one in rattled(4)
    ]
    write(tmp_path / "given.extxyz", given)
    with pytest.raises(TaskError, match=says):
        ask(6, "given.extxyz")
    assert not (tmp_path / "out.ledger").exists()
    done, _ = ask(6, "given.extxyz", allow=("levels", *ALLOW))
    assert len(done.labelled) == 6


def test_frames_without_labels_are_not_dropped_in_silence(ask, tmp_path):
    write(tmp_path / "mixed.extxyz", [*rattled(3), METHANOL])
    _, said = ask(None, "mixed.extxyz")
    assert "1 frames have no labels and are left out" in said[-1]


def test_a_start_that_is_far_off_is_adapted_only_if_allowed(ask, tmp_path):
    write(tmp_path / "doubled.extxyz", poisoned(rattled(5), range(5), energy=0.0))
    with pytest.raises(UnitError, match="--allow units"):
        ask(None, "doubled.extxyz", allow=())
    done, _ = ask(None, "doubled.extxyz", allow=ALLOW)
    assert any("let through: expected forces in eV/Å" in line for line in done.record["notes"])


def test_farthest_points_go_on_from_those_taken():
    points = descriptors([one.structure for one in rattled(20)])
    order = farthest_points(points, 9, seed=3)
    after = farthest_points(points, 4, seed=8, taken=points[order[:5]])
    np.testing.assert_array_equal(after, order[5:])


def test_the_command_extends_a_budget(tmp_path, drawn):
    write(tmp_path / "methanol.extxyz", [METHANOL])
    save(start(), tmp_path / "start.kshot")
    words = ["adapt", str(tmp_path / "start.kshot"), str(tmp_path / "methanol.extxyz")]
    words += ["-o", str(tmp_path / "out.kshot"), "--method", "shift", "--workers", "1", "--force"]
    words += ["--allow", "units"]
    for budget in (3, 5):
        result = CliRunner().invoke(app, [*words, "--budget", str(budget)])
        assert result.exit_code == 0, result.output
        assert rows(tmp_path) == budget
    assert "budget 5: 3 labels are in the ledger; 2 to buy with GFN2-xTB" in result.stderr
    level = labeler("gfn2").fingerprint
    frames = list(read_labelled(tmp_path / "out.labels.extxyz"))
    assert [one.labels.fingerprint for one in frames] == [level] * 5


def samplers_of(frames: list[Structure]) -> list[str]:
    return [frame.info["sampler"] for frame in frames]


def test_half_of_the_configurations_stay_beside_the_structure():
    options, said = {"temperature": 300.0, "seed": 0}, []
    frames = budgets._drawn(METHANOL, labeler("gfn2"), 7, options, said.append)
    assert samplers_of(frames) == 3 * ["rattle"] + 4 * ["langevin"]
    assert said == []
    failing = Analytic(failures=1.0, seconds=0.0)
    broken = budgets._drawn(METHANOL, failing, 7, options, said.append)
    assert samplers_of(broken) == 7 * ["rattle"]
    assert said[0].startswith("dynamics on the start breaks, so all configurations are rattled")

"""What a study keeps: results answer what is asked now, or they are not shown."""

import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np
import pytest

from kshot.atoms import Labelled
from kshot.core.errors import DataError, TaskError
from kshot.fewshot.adapt import adapt
from kshot.labelers import labeler
from kshot.pipeline.evaluate import evaluate
from kshot.pipeline.study import Draw, Job, Row, Setting, draws_of, pool_of, run_study, store
from kshot.pipeline.study.closed import closed_form
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from methanol import METHANOL

SETTING = Setting((2, 4), 3, 40)


def frames(name: str, count: int, seed: int) -> list[Labelled]:
    rng, engine = np.random.default_rng(seed), labeler("analytic")
    structures = [
        METHANOL.replace(
            positions=METHANOL.positions + 0.05 * rng.standard_normal((6, 3)),
            info={"trajectory": name},
        )
        for _ in range(count)
    ]
    return [Labelled(structure, engine.label(structure)) for structure in structures]


def family(tests: Sequence[str] = ("test-same",)) -> list[Labelled]:
    shots = [frame for n in range(3) for frame in frames(f"shots-{n + 1}", 6, n)]
    return shots + [frame for n, name in enumerate(tests) for frame in frames(name, 4, 9 + n)]


def scaled(frame: Labelled, factor: float) -> Labelled:
    labels = dataclasses.replace(frame.labels, forces=factor * frame.labels.forces)
    return frame._replace(labels=labels)


@pytest.fixture(scope="module")
def start() -> Model:
    potential = potentials.get("morse")((1, 6, 8))
    params = potential.init(jax.random.key(0))
    return Model(potential, params, {1: -1.0, 6: -2.0, 8: -3.0}, Seen((1, 6, 8)))


def counted(start: Model, calls: list[int], **more) -> Job:
    """A contestant whose errors are the forces of its shots and of its test sets."""

    def run(model: Model, draw: Draw, shots: tuple[int, ...]) -> list[Row]:
        calls.append(draw.number)
        size = {
            name: float(np.sum([np.abs(frame.labels.forces).sum() for frame in part]))
            for name, part in {"shots": draw.shots, **draw.tests}.items()
        }
        return [
            {"method": "plain", "k": k, "test": name, "energy": size["shots"], "forces": size[name]}
            for name in draw.tests
            for k in shots
        ]

    return Job("plain", start, run, **more)


Ask = Callable[..., tuple[list[Row], list[int], list[str]]]


@pytest.fixture
def ask(start: Model, tmp_path: Path) -> Ask:
    def call(labelled: Sequence[Labelled], setting: Setting = SETTING, keep_old=False, **more):
        calls, lines = [], []
        pools = [pool_of("methanol", labelled, setting.test)]
        jobs = [counted(start, calls, **more)]
        study = run_study(pools, setting, jobs, tmp_path, lines.append, keep_old=keep_old)
        return study, calls, lines

    return call


def test_a_result_is_computed_once(ask: Ask):
    study, calls, _ = ask(family())
    assert calls == [0, 1, 2]
    again, none, _ = ask(family())
    assert (none, again.rows) == ([], study.rows)
    _, more, _ = ask(family(), SETTING._replace(draws=4))
    assert more == [3]


@pytest.mark.parametrize("part", ["shots", "test"])
def test_other_labels_are_another_question(ask: Ask, tmp_path: Path, part: str):
    before, _, _ = ask(family())
    changed = [
        scaled(frame, 3.0) if frame.structure.info["trajectory"].startswith(part) else frame
        for frame in family()
    ]
    after, calls, lines = ask(changed)
    assert calls == [0, 1, 2]
    quantity = "energy" if part == "shots" else "forces"
    ratios = [a[quantity] / b[quantity] for a, b in zip(after.rows, before.rows, strict=True)]
    np.testing.assert_allclose(ratios, 3.0)
    assert "frames changed since it was run; set aside as" in lines[0]
    # nothing that was paid for is lost, and nothing of it is shown.
    [aside] = (tmp_path / "set-aside").glob("plain-methanol.json")
    assert len(json.loads(aside.read_text())["draws"]) == 1
    assert len(list((tmp_path / "set-aside").iterdir())) == 3
    assert not after.old


def test_another_test_set_is_another_question(ask: Ask):
    ask(family())
    study, calls, _ = ask(family(("test-same", "test-conformer")))
    assert calls == [0, 1, 2]
    assert {row["test"] for row in study.rows} == {"test-same", "test-conformer"}


def test_one_label_of_one_draw_is_another_question_of_that_draw(ask: Ask):
    ask(family())
    labelled = family()
    last = draws_of(pool_of("methanol", labelled, 40), SETTING.shots, 3)[2].shots[-1]
    changed = [scaled(f, 1.01) if f.structure.key == last.structure.key else f for f in labelled]
    _, calls, _ = ask(changed)
    assert calls == [2]


def test_other_code_and_other_options_are_other_questions(ask: Ask, tmp_path: Path):
    source = tmp_path / "job.py"
    source.write_text('"""Words."""\nRATE = 1\n')
    _, first, _ = ask(family(), sources=(source,))
    store.code_digest.cache_clear()
    source.write_text('"""Other words."""\n\nRATE = 1  # the same\n')
    _, same, _ = ask(family(), sources=(source,))
    source.write_text('"""Words."""\nRATE = 2\n')
    store.code_digest.cache_clear()
    kept, none, _ = ask(family(), sources=(source,), keep_old=True)
    assert (first, same, none) == ([0, 1, 2], [], [])
    assert not kept.rows
    assert len(kept.old) == 6  # told apart from what is current
    _, code, lines = ask(family(), sources=(source,))
    assert "code changed" in lines[0]
    _, options, lines = ask(family(), sources=(source,), options={"rate": 3})
    assert "options changed" in lines[0]
    assert code == options == [0, 1, 2]


def test_code_that_computes_counts_and_words_do_not(monkeypatch, tmp_path: Path):
    root = Path(store.kshot.__file__).parent
    digest = store.code_digest()
    assert digest == store.code_digest.__wrapped__()
    meaning = store._meaning
    for name, counts in {"least_squares.py": True, "extxyz.py": False, "evaluate.py": True}.items():
        assert any(root.rglob(name))
        changed = lambda path, name=name: meaning(path) + "x" * (path.name == name)  # noqa: E731
        monkeypatch.setattr(store, "_meaning", changed)
        assert (store.code_digest.__wrapped__() != digest) is counts


def test_code_that_the_study_never_imports_does_not_count():
    computing = {path.name for path in store._computing()}
    assert {"least_squares.py", "linear.py", "fisher.py", "jacobian.py", "derived.py"} <= computing
    assert not computing & {"unit_traps.py", "architectures.py", "store.py"}


def test_a_killed_study_loses_one_draw(ask: Ask, start: Model, tmp_path: Path):
    def killed(model: Model, draw: Draw, shots: tuple[int, ...]) -> list[Row]:
        if draw.number == 1:
            raise KeyboardInterrupt
        return counted(start, []).run(model, draw, shots)

    pools = [pool_of("methanol", family(), 40)]
    with pytest.raises(KeyboardInterrupt):
        run_study(pools, SETTING, [Job("plain", start, killed)], tmp_path, str)
    _, calls, _ = ask(family())
    assert calls == [1, 2]
    assert [path.name for path in tmp_path.iterdir()] == ["plain-methanol.json"]


def test_a_file_that_holds_no_results_is_told_and_not_overwritten(ask: Ask, tmp_path: Path):
    path = tmp_path / "plain-methanol.json"
    path.write_text('{"draws": [{"draw": 0,')
    with pytest.raises(DataError, match="results of a study"):
        ask(family())
    assert path.read_text() == '{"draws": [{"draw": 0,'


def test_a_card_does_not_mix_versions_of_the_code(ask: Ask, start: Model, tmp_path: Path):
    ask(family())
    path = tmp_path / "plain-methanol.json"
    assert len(store.read_rows(tmp_path, start.digest)) == 6
    assert store.read_rows(tmp_path, "other") == []
    held = json.loads(path.read_text())
    held["draws"][0]["key"]["code"] = "older"
    path.write_text(json.dumps(held))
    with pytest.raises(DataError, match="one version of the code"):
        store.read_rows(tmp_path, start.digest)


def test_draws_share_no_label_and_grow_with_K():
    pool = pool_of("methanol", family(), 40)
    draws = draws_of(pool, (2, 6), 3)
    keys = [frame.structure.key for draw in draws for frame in draw.shots]
    assert len(keys) == len(set(keys)) == 18
    assert not any(draw.shares for draw in draws)
    assert [draw.shots for draw in draws_of(pool, (2, 6), 2)] == [d.shots for d in draws[:2]]
    mixed = {frame.structure.info["trajectory"] for frame in draws[0].shots}
    assert len(mixed) > 1
    shared = draws_of(pool, (7,), 3)
    assert all(draw.shares for draw in shared)
    assert len({frozenset(f.structure.key for f in draw.shots) for draw in shared}) == 3


@pytest.mark.parametrize(
    ("shots", "count", "words"),
    [((2, 19), 1, "at most 18 frames; got methanol: K = 19"), ((18,), 2, "would all be one")],
)
def test_more_shots_than_there_are_labels_are_refused(shots, count, words):
    with pytest.raises(TaskError, match=words):
        draws_of(pool_of("methanol", family(), 40), shots, count)


def test_a_study_on_its_own_shots_is_refused():
    labelled = family()
    leak = labelled[3].structure.replace(info={"trajectory": "test-same"})
    with pytest.raises(TaskError, match="1 of 5 frames of test-same are among the shots"):
        pool_of("methanol", [*labelled, Labelled(leak, labelled[3].labels)], 40)
    with pytest.raises(TaskError, match="1 frames twice"):
        pool_of("methanol", [*labelled, labelled[3]], 40)


def test_trajectories_are_shots_or_test_sets_by_their_names():
    pool = pool_of("methanol", family(("test-same", "test-hot")), 3)
    assert {name: len(part) for name, part in pool.tests.items()} == {"test-hot": 3, "test-same": 3}
    assert len(pool.shots) == 18
    with pytest.raises(TaskError, match="'equilibration'"):
        pool_of("methanol", [*family(), *frames("equilibration", 2, 5)], 3)
    with pytest.raises(TaskError, match="test sets only"):
        pool_of("methanol", frames("test-same", 3, 5), 3)
    plain = pool_of("methanol", [*frames("a", 4, 0), *frames("b", 9, 1), *frames("c", 2, 2)], 5)
    names = {frame.structure.info["trajectory"] for frame in plain.tests["test"]}
    assert (len(plain.shots), len(plain.tests["test"]), names) == (4, 5, {"b", "c"})
    with pytest.raises(TaskError, match="two trajectories"):
        pool_of("methanol", frames("a", 4, 0), 2)


def test_the_contestant_kshot_is_what_adapt_gives(start: Model):
    """Shared derivatives change nothing: the rows of each K are those of adaptation alone."""
    [draw, *_] = draws_of(pool_of("methanol", family(), 40), (3, 6), 2)
    rows = [row for row in closed_form(start, draw, (3, 6)) if row["method"] == "kshot"]
    for row in rows:
        adapted = adapt(start, draw.shots[: row["k"]], seed=draw.number)
        errors = evaluate(adapted.model, draw.tests["test-same"])
        np.testing.assert_allclose(row["energy"], errors.energy_rmse_eV, rtol=1e-3)
        np.testing.assert_allclose(row["forces"], errors.force_rmse_eV_per_A, rtol=1e-3)
        assert row["chose"] == adapted.chosen.method.name

"""Checkpoints: round trip, damage, foreign runs, and kill -9."""

import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kshot import meta
from kshot.core.errors import CheckpointError
from kshot.meta import checkpoint, problems
from kshot.meta.checkpoint import Checkpoints, latest
from kshot.meta.fingerprint import describe, differences, run_fingerprint
from kshot.meta.metrics import read_metrics
from kshot.meta.train import train

ROOT = Path(__file__).parent.parent
STREAM = meta.FixedTasks(problems.quadratics(jnp.linspace(0.5, 1.5, 6), jnp.arange(6.0)), batch=2)


def algorithm(rate=0.1, outer=1e-2):
    return meta.maml(problems.quadratic_loss, meta.rules.sgd(rate), outer=optax.adam(outer))


MAML = algorithm()
START = MAML.init(jnp.asarray(0.5))


def run(directory, steps=12, *, given=MAML, start=START, **options):
    options = {"checkpoint_every": 4, "log_every": 3, "progress": "none"} | options
    metrics = directory / "metrics.jsonl"
    folder = directory / "checkpoints"
    return train(given, start, STREAM, steps, checkpoints=folder, metrics=metrics, **options)


def bits(state):
    return [
        np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((state.learner, state.opt_state))
    ]


class CutShortError(Exception):
    pass


def killer(at):
    def kill(report):
        if report.step == at:
            raise CutShortError

    return kill


def test_every_kind_of_leaf_comes_back(tmp_path):
    odd = {
        "half": jnp.ones(3, jnp.bfloat16),
        "empty": jnp.zeros((0, 2)),
        "flag": jnp.asarray([True, False]),
        "key": jax.random.key(3, impl="rbg"),
        "count": jnp.asarray(2**31 - 1, jnp.int32),
    }
    state = meta.State(START.learner, odd, jnp.asarray(4, jnp.int32), jax.random.key(7))
    with Checkpoints(tmp_path, run_fingerprint(MAML, STREAM, 0, state)) as book:
        book.save(4, state)
    blank = jax.tree.map(
        lambda x: x if x.dtype.name.startswith("key") else jnp.zeros_like(x), state
    )
    found = latest(tmp_path, blank)
    assert found.step == 4
    assert jax.tree.structure(found.state) == jax.tree.structure(state)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(found.state), strict=True):
        assert new.dtype == old.dtype
        assert not jax.typeof(new).weak_type
        assert bool((old == new).all())


def test_resumed_run_is_the_run(tmp_path):
    whole = run(tmp_path / "whole")
    with pytest.raises(CutShortError):
        run(tmp_path / "cut", callbacks=[killer(9)])
    cut = run(tmp_path / "cut")
    assert cut.history.first == 9
    assert bits(cut.state) == bits(whole.state)
    first, second = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("whole", "cut"))
    assert first == second
    again = run(tmp_path / "cut")
    assert len(again.history.loss) == 0
    assert bits(again.state) == bits(whole.state)


def test_metrics_torn_by_a_kill_are_mended(tmp_path):
    run(tmp_path / "whole")
    with pytest.raises(CutShortError):
        run(tmp_path / "cut", callbacks=[killer(9)])
    path = tmp_path / "cut" / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 11, "lo')
    run(tmp_path / "cut")
    assert path.read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()


def test_last_three_are_kept_and_one_more_step_extends_the_run(tmp_path):
    run(tmp_path, 18)
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()}
    assert kept == {"12", "16", "18"}
    assert run(tmp_path, 19).history.first == 19


@pytest.mark.parametrize("harm", ["truncate", "flip", "remove"])
def test_damaged_newest_is_set_aside(tmp_path, harm, capfd):
    whole = run(tmp_path / "whole")
    run(tmp_path / "cut")
    damage(tmp_path / "cut" / "checkpoints" / "12", harm)
    cut = run(tmp_path / "cut", progress="lines")
    assert cut.history.first == 9
    assert bits(cut.state) == bits(whole.state)
    assert (tmp_path / "cut" / "checkpoints" / "unreadable-12").is_dir()
    told = capfd.readouterr().err
    assert "could not be read and were set aside: step 12" in told
    assert "Traceback" not in told
    _, times = read_metrics(tmp_path / "cut" / "metrics.times.jsonl")
    assert "set aside: step 12" in " ".join(row.get("note", "") for row in times)


def test_values_that_are_not_those_written_are_no_checkpoint(tmp_path, monkeypatch):
    # as of a disk that gives back other numbers, which nothing below us notices.
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "_digest", lambda leaves: "0" * 64)
        with Checkpoints(tmp_path, run_fingerprint(MAML, STREAM, 0, START)) as book:
            book.save(4, START)
    with pytest.raises(CheckpointError, match="damaged files in all of them"):
        latest(tmp_path, START)


def test_all_damaged(tmp_path):
    run(tmp_path)
    for path in (tmp_path / "checkpoints").iterdir():
        damage(path, "truncate")
    with pytest.raises(CheckpointError, match=r"damaged files in all of them, steps \[4, 8, 12\]"):
        run(tmp_path)


def damage(checkpoint, harm):
    files = [path for path in (checkpoint / "state").rglob("*") if path.is_file()]
    for path in files:
        data = bytearray(path.read_bytes())
        if harm == "remove":
            path.unlink()
        elif harm == "truncate":
            path.write_bytes(data[: len(data) // 2])
        elif data:
            data[len(data) // 2] ^= 255
            path.write_bytes(data)


def test_checkpoints_of_another_run(tmp_path):
    run(tmp_path)
    with pytest.raises(CheckpointError, match="seed is 0 in the checkpoint, 1 now"):
        run(tmp_path, seed=1)
    other = algorithm(outer=2e-2)
    with pytest.raises(CheckpointError, match=r"step_size is -0.01 in the checkpoint, -0.02 now"):
        run(tmp_path, given=other, start=other.init(jnp.asarray(0.5)))
    with pytest.raises(CheckpointError, match=r"start.learner.params.sample.0 is 0.5 .*, 0.75 now"):
        run(tmp_path, start=MAML.init(jnp.asarray(0.75)))
    with pytest.raises(CheckpointError, match=r"params is 'float32\[\]' .*, 'float32\[2\]' now"):
        run(tmp_path, start=MAML.init(jnp.ones(2)))


def test_a_run_goes_on_from_its_own_result(tmp_path):
    first = run(tmp_path)
    assert run(tmp_path, 16, start=first.state).history.first == 13


def test_load_state(tmp_path):
    result = run(tmp_path)
    loaded = meta.load_state(tmp_path / "checkpoints", like=START)
    assert bits(loaded) == bits(result.state)
    with pytest.raises(CheckpointError, match="got none"):
        meta.load_state(tmp_path / "nowhere", like=START)


def test_descriptions_see_what_functions_close_over():
    same, other = describe(algorithm()), describe(algorithm(outer=0.5))
    assert differences(describe(algorithm()), same) == []
    assert [path.rpartition(".")[2] for path, *_ in differences(same, other)] == ["step_size"]

    def loop():
        return loop

    assert describe(loop)["loop"] == "itself"


@pytest.mark.slow
def test_kill_nine_then_resume_gives_the_same_bits():
    command = [sys.executable, ROOT / "benchmarks" / "crash" / "run.py", "--kills", "3"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 runs with other bytes" in done.stdout

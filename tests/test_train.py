"""The training loop: streams, calls, guards, metrics, validation, callbacks."""

import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from kshot import meta
from kshot.core.errors import DivergedError, MissingExtraError, OptionError, TaskError
from kshot.core.rng import named_key
from kshot.meta import problems
from kshot.meta.metrics import read_metrics
from kshot.meta.stream import STREAM, DeviceTasks, FixedTasks, HostTasks, as_stream
from kshot.meta.task import Task, take
from kshot.meta.train import train

OUTER = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
MAML = meta.maml(problems.quadratic_loss, meta.rules.sgd(0.1), steps=1, outer=OUTER)
STATE = MAML.init(jnp.asarray(0.5))


def sample(key):
    curvature, optimum = jax.random.split(key)
    a = jax.random.uniform(curvature, (4,), minval=0.5, maxval=1.5)
    return problems.quadratics(a, jax.random.normal(optimum, (4,)))


def sample_on_host(rng):
    data = (rng.uniform(0.5, 1.5, (4, 1)).astype("f4"), rng.normal(size=(4, 1)).astype("f4"))
    return Task(data, data)


STREAM_ONE = DeviceTasks(sample)
FIXED = sample(jax.random.key(5))


def run(steps=20, tasks=STREAM_ONE, **options):
    return train(MAML, STATE, tasks, steps, progress="none", **options)


def bits(state):
    return [
        np.asarray(leaf).tobytes() for leaf in jax.tree.leaves((state.learner, state.opt_state))
    ]


@pytest.mark.parametrize("stream", [STREAM_ONE, HostTasks(sample_on_host), FixedTasks(FIXED, 3)])
def test_stream_is_a_function_of_seed_and_step(stream):
    first = stream.at(0, 7)
    stream.at(0, 8)
    same = jax.tree.map(lambda a, b: bool((a == b).all()), first, stream.at(0, 7))
    assert all(jax.tree.leaves(same))
    for other in (stream.at(0, 8), stream.at(1, 7)):
        assert not np.array_equal(other.support[1], first.support[1])


@pytest.mark.parametrize("stream", [STREAM_ONE, HostTasks(sample_on_host), FixedTasks(FIXED, 3)])
def test_loop_is_step_after_step(stream):
    result = run(12, stream)
    state, losses = STATE, []
    for step in range(12):
        state, info = MAML.step(state, stream.at(0, step))
        losses.append(info.loss)
    np.testing.assert_allclose(result.state.params, state.params, rtol=1e-5)
    np.testing.assert_allclose(result.history.loss, losses, rtol=1e-5)
    assert int(result.state.step) == 12
    assert result.history.first == 1


def test_tasks_of_a_finite_set_are_drawn_without_replacement():
    stream = FixedTasks(FIXED, 3)
    drawn = np.asarray(stream.at(0, 0).support[1]).ravel()
    assert len(set(drawn.tolist())) == 3
    assert set(drawn.tolist()) <= set(np.asarray(FIXED.support[1]).ravel().tolist())
    with pytest.raises(OptionError, match="between 1 and 4 tasks; got 5"):
        FixedTasks(FIXED, 5)


def test_as_stream():
    assert as_stream(STREAM_ONE) is STREAM_ONE
    assert isinstance(as_stream(FIXED), FixedTasks)
    assert isinstance(as_stream(sample), DeviceTasks)
    with pytest.raises(TaskError, match="HostTasks"):
        as_stream(sample_on_host)
    with pytest.raises(TaskError, match="returns tuple"):
        as_stream(lambda key: (key, key))


def test_examples_are_the_first_training_tasks():
    examples = STREAM_ONE.examples(0, 6)
    assert examples.support[0].shape == (6, 1)
    np.testing.assert_array_equal(examples.support[0][:4], STREAM_ONE.at(0, 0).support[0])
    assert FixedTasks(FIXED, 2).examples(0, 100).support[0].shape == (4, 1)


@pytest.mark.parametrize("stream", [STREAM_ONE, HostTasks(sample_on_host)])
def test_length_of_calls_changes_no_bit(stream):
    whole = run(23, stream, steps_per_call=8).state
    for log in (1, 5, 7):
        assert bits(run(23, stream, steps_per_call=8, log_every=log).state) == bits(whole)
    # another capacity is another program, which XLA may round otherwise.
    other = run(23, stream, steps_per_call=1).state
    np.testing.assert_allclose(other.params, whole.params, rtol=1e-5)


def test_two_halves_are_the_whole():
    half = run(9).state
    again = train(MAML, half, STREAM_ONE, 20, progress="none")
    assert bits(again.state) == bits(run(20).state)
    assert again.history.first == 10
    with pytest.raises(OptionError, match="steps beyond the 9 already taken"):
        train(MAML, half, STREAM_ONE, 9)


def test_one_program_for_calls_of_every_length():
    traced = []

    def counted(key):
        traced.append(1)
        return sample(key)

    stream = DeviceTasks(counted)
    run(5, stream, steps_per_call=8)
    before = len(traced)
    run(13, stream, steps_per_call=8, log_every=3)
    run(40, stream, steps_per_call=8, log_every=7)
    assert len(traced) == before <= 3


def test_the_state_given_is_left_alone():
    run(3)
    assert float(STATE.params) == 0.5


def test_non_finite_tasks_are_skipped_and_counted(tmp_path):
    def sometimes(key):
        tasks = sample(key)
        bad = key_is_of(key, (3, 4))
        return jax.tree.map(lambda x: x.at[0].set(jnp.where(bad, jnp.nan, x[0])), tasks)

    result = run(10, DeviceTasks(sometimes), metrics=tmp_path / "m.jsonl", log_every=5)
    assert result.history.skipped.tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0, 0]
    assert np.isfinite(result.history.loss).all()
    assert [row["skipped"] for row in read_metrics(tmp_path / "m.jsonl")[1]] == [2, 0]


def key_is_of(key, steps):
    keys = jnp.stack([jax.random.key_data(named_key(0, STREAM, step)) for step in steps])
    return (keys == jax.random.key_data(key)).all(-1).any()


def test_training_without_a_finite_task_gives_up_and_keeps_the_state(tmp_path):
    first = named_key(0, STREAM, 0)

    def broken(key):
        good = (jax.random.key_data(key) == jax.random.key_data(first)).all()
        return jax.tree.map(lambda x: jnp.where(good, x, jnp.nan), sample(key))

    stream = DeviceTasks(broken)
    with pytest.raises(DivergedError, match=r"in the last \d+ outer steps") as error:
        run(100, stream, patience=8, log_every=3, checkpoints=tmp_path)
    assert "saved" in str(error.value)
    saved = meta.load_state(tmp_path, STATE)
    np.testing.assert_array_equal(saved.params, run(1).state.params)


def test_bad_first_tasks_are_named_before_anything_is_compiled():
    bad = jax.tree.map(lambda x: x.at[2].set(jnp.nan), FIXED)
    with pytest.raises(TaskError, match="task 2"):
        run(5, bad)


@pytest.mark.parametrize(
    "name", ["steps", "log_every", "checkpoint_every", "patience", "steps_per_call"]
)
def test_schedule_below_one(name):
    with pytest.raises(OptionError, match=f"{name} ≥ 1; got 0"):
        run(**{"steps": 5, name: 0})


def test_metrics_hold_a_manifest_and_means(tmp_path):
    path = tmp_path / "new" / "m.jsonl"
    result = run(20, metrics=path, log_every=8)
    manifest, rows = read_metrics(path)
    assert manifest["seed"] == 0
    assert manifest["config"]["steps"] == 20
    assert [row["step"] for row in rows] == [8, 16, 20]
    assert rows[1]["loss"] == pytest.approx(result.history.loss[8:16].mean())
    times = [json.loads(line) for line in (path.parent / "m.times.jsonl").read_text().splitlines()]
    assert [row["step"] for row in times[1:]] == [8, 16, 20]


def test_metrics_of_a_new_run_replace_the_old_but_nothing_else(tmp_path):
    path = tmp_path / "m.jsonl"
    run(20, metrics=path, log_every=5)
    run(10, metrics=path, log_every=5)
    assert len(read_metrics(path)[1]) == 2
    path.write_text("my notes\n")
    with pytest.raises(OptionError, match="a metrics file of kshot"):
        run(10, metrics=path)
    assert path.read_text() == "my notes\n"


def test_gap_between_training_and_new_tasks(tmp_path):
    new = sample(jax.random.key(9))
    result = run(20, FIXED, validation=new, validate_every=8, metrics=tmp_path / "m.jsonl")
    assert list(result.history.gaps) == [8, 16, 20]
    last = result.history.gaps[20]
    expected = [
        jax.vmap(lambda t: MAML.losses(result.state, t)[-1])(t).mean() for t in (FIXED, new)
    ]
    assert (last.train, last.new) == pytest.approx(tuple(float(x) for x in expected))
    row = read_metrics(tmp_path / "m.jsonl")[1][-1]
    assert (row["train_tasks"], row["new_tasks"], row["gap"]) == (last.train, last.new, last.gap)


def test_gap_needs_query_sets():
    with pytest.raises(TaskError, match="query set"):
        run(5, validation=Task(FIXED.support))
    reptile = meta.reptile(problems.quadratic_loss, meta.rules.sgd(0.1))
    state = reptile.init(jnp.asarray(0.5))
    with pytest.raises(TaskError, match="training tasks with query sets"):
        train(reptile, state, Task(FIXED.support), 5, validation=FIXED)


def test_callbacks_see_rows_and_may_end_the_training(tmp_path):
    seen = []

    def watch(report):
        seen.append((report.step, report.steps, float(report.state.params), report.values["loss"]))
        return report.step >= 10

    result = run(50, callbacks=(watch,), log_every=5, checkpoints=tmp_path)
    assert [step for step, *_ in seen] == [5, 10]
    assert int(result.state.step) == 10
    assert seen[-1][2] == float(result.state.params)
    assert int(meta.load_state(tmp_path, STATE).step) == 10


def test_tensorboard(tmp_path, monkeypatch):
    run(10, tensorboard=tmp_path, log_every=5)
    assert next(tmp_path.glob("events.out.tfevents.*")).stat().st_size > 0
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match=r"kshot\[tensorboard\]"):
        run(10, tensorboard=tmp_path)


@pytest.mark.parametrize("show", ["auto", "lines", "bar", "none"])
def test_progress(show, capfd):
    train(MAML, STATE, STREAM_ONE, 40, progress=show)
    told = capfd.readouterr()
    assert told.out == ""
    if show == "none":
        assert told.err == ""
    elif show == "bar":
        assert "40/40" in told.err
    else:
        first, memory, second, *_, last = told.err.splitlines()
        assert (first, second) == ("training to step 40", "step 0/40  compiling …")
        assert memory.startswith("memory: 4 of 4 tasks at once")
        assert last.startswith("step 40/40  loss ")


def test_every_algorithm_with_state_trains():
    reptile = meta.reptile(problems.quadratic_loss, meta.rules.sgd(0.1), outer=optax.sgd(0.5))
    start = reptile.init(jnp.asarray(4.0))
    result = train(reptile, start, Task(FIXED.support), 60, progress="none")
    target = jnp.mean(take(FIXED.support, (slice(None), 0))[1])
    assert abs(result.state.params - target) < 0.3

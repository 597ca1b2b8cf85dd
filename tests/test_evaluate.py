"""Curves, step choice, guarded adaptation, gap: against closed forms and tasks made to diverge."""

import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kshot import meta
from kshot.core.errors import InputError, OptionError, TaskError
from kshot.meta import evaluate, problems
from kshot.meta.evaluate.record import Record
from kshot.meta.evaluate.statistics import difference_interval, mean_interval, student_t

pytestmark = pytest.mark.usefixtures("x64")


def quadratic_maml(rate=0.1, steps=3, **options):
    maml = meta.maml(problems.quadratic_loss, meta.rules.sgd(rate), steps, **options)
    return maml, maml.init(jnp.asarray(1.0))


def quadratics(curvatures, optima=None):
    curvatures = jnp.asarray(curvatures, jnp.float64)
    optima = jnp.zeros_like(curvatures) if optima is None else jnp.asarray(optima, jnp.float64)
    return problems.quadratics(curvatures, optima)


def test_adaptation_curve_is_the_closed_form():
    maml, state = quadratic_maml()
    a = np.asarray([1.0, 2.0, 5.0])
    curve = evaluate.adaptation_curve(maml, state, quadratics(a), tasks_in_parallel=2)
    steps = np.arange(4)
    expected = 0.5 * a[:, None] * (1 - 0.1 * a[:, None]) ** (2 * steps)
    np.testing.assert_allclose(curve.errors, expected, rtol=1e-12)
    np.testing.assert_allclose(curve.mean, expected.mean(0), rtol=1e-12)
    assert curve.at.tolist() == [0, 1, 2, 3]
    assert curve.diverged_tasks.tolist() == [0, 0, 0, 0]
    assert (curve.low < curve.mean).all()
    assert (curve.mean < curve.high).all()


def test_a_diverged_task_is_counted_and_not_averaged_in():
    maml, state = quadratic_maml(rate=1.0, steps=4)
    curve = evaluate.adaptation_curve(maml, state, quadratics([0.5, 0.5, 50.0, 1e200]))
    # factors per step: 0.25, 0.25, 2401 (blown up), overflow (not finite).
    assert curve.diverged_tasks.tolist() == [1, 2, 2, 2, 2]  # ½·1e200 is blown up from the start
    np.testing.assert_allclose(curve.mean[1:], 0.25 * 0.25 ** np.arange(1, 5), rtol=1e-12)
    assert not np.isfinite(curve.errors[3, -1])


def test_another_metric_follows_the_same_path():
    maml, state = quadratic_maml()
    tasks = quadratics([1.0, 2.0])
    distance = lambda theta, data, stats: jnp.abs(theta - data[1][0])  # noqa: E731
    curve = evaluate.adaptation_curve(maml, state, tasks, 2, distance)
    np.testing.assert_allclose(curve.errors, [[1, 0.9, 0.81], [1, 0.8, 0.64]], rtol=1e-12)
    as_metric = evaluate.adaptation_curve(maml, state, tasks, 2, maml.objective)
    np.testing.assert_array_equal(
        as_metric.errors, evaluate.adaptation_curve(maml, state, tasks, 2).errors
    )


def test_shots_curve_uses_the_first_k(key):
    maml = meta.maml(problems.squared_error, steps=2)
    state = maml.init(problems.mlp(key, (1, 8, 1)))
    tasks = problems.sinusoids(key, tasks=5, shots=4, query=6)
    curve = evaluate.shots_curve(maml, state, tasks, (1, 4))
    for column, k in enumerate((1, 4)):
        cut = meta.first_shots(tasks, k, task_axis=1)
        expected = evaluate.adaptation_curve(maml, state, cut).errors[:, -1]
        np.testing.assert_array_equal(curve.errors[:, column], expected)
    with pytest.raises(TaskError, match="K = 5"):
        evaluate.shots_curve(maml, state, tasks, (5,))
    with pytest.raises(OptionError, match="at least one K"):
        evaluate.shots_curve(maml, state, tasks, ())


def test_bad_input_is_named():
    maml, state = quadratic_maml()
    tasks = quadratics([1.0, 2.0])
    with pytest.raises(TaskError, match="query=None"):
        evaluate.task_errors(maml, state, meta.Task(tasks.support))
    with pytest.raises(OptionError, match="tasks_in_parallel"):
        evaluate.task_errors(maml, state, tasks, tasks_in_parallel=0)
    with pytest.raises(OptionError, match="inner steps"):
        evaluate.task_errors(maml, state, tasks, -1)
    group = meta.ensemble(meta.maml(problems.squared_error))
    with pytest.raises(OptionError, match="Ensemble"):
        evaluate.task_errors(group, state, tasks, metric=maml.objective)


def test_choose_steps_refuses_steps_at_which_a_task_diverges():
    # the mean of most tasks improves for ever; one task leaves the stable range and blows up.
    maml, state = quadratic_maml(rate=1.0)
    tasks = quadratics([0.5] * 30 + [6.0], [3.0] * 30 + [1.001])
    choice = evaluate.choose_steps(maml, state, tasks, max_steps=10)
    lost = choice.curve.diverged_tasks
    assert lost[0] == 0
    assert lost[-1] == 1
    assert choice.diverged_tasks == 0
    assert lost[choice.steps] == 0
    eligible = np.flatnonzero(lost == 0)
    assert choice.steps == eligible[np.argmin(choice.curve.mean[eligible])] > 0
    assert evaluate.StepChoice.from_json(choice.to_json()).steps == choice.steps


def test_choose_steps_with_nothing_finite_does_not_adapt():
    maml, state = quadratic_maml()
    choice = evaluate.choose_steps(maml, state, quadratics([np.inf]), max_steps=2)
    assert (choice.steps, choice.diverged_tasks) == (0, 1)


def test_adapt_guarded_keeps_what_is_sound():
    maml, state = quadratic_maml(rate=1.0, steps=300)
    supports = quadratics([0.5, 50.0, 2.5]).support
    guard = jax.jit(jax.vmap(lambda s: evaluate.adapt_guarded(maml, state, s)))
    kept = guard(supports)
    assert kept.diverged.tolist() == [False, True, True]
    assert kept.steps_kept.tolist() == [300, 0, 0]
    np.testing.assert_allclose(kept.params, [0.5**300, 1.0, 1.0], rtol=1e-10)
    assert not np.isfinite(kept.support_losses[1, -1])
    assert kept.support_losses.shape == (3, 301)


def test_adapt_guarded_keeps_the_best_step_of_a_path_that_ends_worse():
    # Adam with too large a rate first comes nearer, then overshoots.
    rule = meta.rules.adam(0.9)
    maml = meta.maml(problems.quadratic_loss, rule, steps=2)
    state = maml.init(jnp.asarray(1.0))
    support = (jnp.ones(1), jnp.asarray([0.3]))
    kept = evaluate.adapt_guarded(maml, state, support, 6)
    assert float(kept.support_losses[int(kept.steps_kept)]) == float(kept.support_losses.min()) or (
        int(kept.steps_kept) == 6 and not bool(kept.diverged)
    )
    with_none = evaluate.adapt_guarded(maml, state, support, 0)
    assert float(with_none.params) == 1.0
    assert with_none.support_losses.shape == (1,)


def test_adapt_guarded_moves_only_what_adapts(key):
    anil = meta.anil(problems.squared_error, problems.head, meta.rules.sgd(1e-3), steps=3)
    state = anil.init(problems.mlp(key, (1, 8, 1)))
    task = meta.take(problems.sinusoids(key, 1, 5, 5), 0)
    kept = evaluate.adapt_guarded(anil, state, task.support)
    assert not bool(kept.diverged)
    expected = anil.adapt(state, task.support)
    for ours, theirs in zip(jax.tree.leaves(kept.params), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    np.testing.assert_array_equal(kept.params[0]["weight"], state.params[0]["weight"])


def test_meta_gap_finds_what_was_trained_on():
    maml, state = quadratic_maml()
    near, far = quadratics([1.0] * 8, np.linspace(0.9, 1.1, 8)), quadratics([1.0] * 8, range(8))
    gap = evaluate.meta_gap(maml, state, near, far)
    assert gap.gap == pytest.approx(gap.new - gap.train)
    assert 0 < gap.low < gap.gap < gap.high
    alike = evaluate.meta_gap(maml, state, far, far)
    assert alike.low < 0 == alike.gap < alike.high
    assert (gap.train_diverged, gap.new_diverged) == (0, 0)


def test_over_seeds_spreads_over_seeds_and_tasks():
    maml, _ = quadratic_maml()
    tasks = quadratics([1.0, 2.0, 3.0], [0.5, 0.0, -0.5])
    curves = [
        evaluate.adaptation_curve(maml, maml.init(jnp.asarray(start)), tasks)
        for start in (0.9, 1.0, 1.2)
    ]
    both = evaluate.over_seeds(curves)
    np.testing.assert_allclose(both.mean, np.mean([c.mean for c in curves], axis=0))
    half = 4.303 * np.std([c.mean for c in curves], axis=0, ddof=1) / math.sqrt(3)
    np.testing.assert_allclose(both.high - both.mean, half, rtol=1e-3)
    assert (both.task_low < both.mean).all()
    assert both.diverged_tasks.shape == (3, 4)
    one = evaluate.over_seeds(curves[:1])
    assert np.isnan(one.low).all()  # one seed tells nothing about seeds
    np.testing.assert_allclose(one.task_low, curves[0].low)
    with pytest.raises(OptionError, match="curve 1 over"):
        evaluate.over_seeds([curves[0], evaluate.adaptation_curve(maml, maml.init(1.0), tasks, 1)])
    with pytest.raises(OptionError, match="at least one curve"):
        evaluate.over_seeds([])


@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (29, 2.045), (999, 1.962)],
)
def test_student_quantiles(freedom, quantile):
    assert float(student_t(np.asarray(float(freedom)))) == pytest.approx(quantile, rel=2e-3)


def test_intervals_cover(rng):
    draws = rng.normal(3.0, 2.0, (5, 2000))
    inside = mean_interval(draws)
    assert np.mean((inside.low < 3) & (inside.high > 3)) == pytest.approx(0.95, abs=0.02)
    pairs = zip(rng.normal(4.0, 3.0, (2000, 6)), draws.T, strict=True)
    differences = [difference_interval(a, b) for a, b in pairs]
    hits = [d.low < 1 < d.high for d in differences]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.02)
    assert np.isnan(mean_interval(np.ones(1)).low)


def test_records_survive_json():
    maml, state = quadratic_maml(rate=1.0)
    curve = evaluate.adaptation_curve(maml, state, quadratics([0.5, 1e200]), 5)
    text = curve.to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    again = evaluate.Curve.from_json(text)
    for name, value in vars(curve).items():
        np.testing.assert_array_equal(getattr(again, name), value)
        assert type(getattr(again, name)) is type(value)
    assert again.diverged.dtype == bool
    assert isinstance(Record.from_json(text), evaluate.Curve)
    with pytest.raises(InputError, match="SeedCurve"):
        evaluate.SeedCurve.from_json(text)
    with pytest.raises(InputError, match="schema 99"):
        evaluate.Curve.from_json(text.replace('"schema": 1', '"schema": 99'))

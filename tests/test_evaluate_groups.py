"""Cross-validation, forgetting and imbalance: against closed forms on quadratic tasks."""

import jax.numpy as jnp
import numpy as np
import pytest

from kshot import meta
from kshot.core.errors import OptionError, TaskError
from kshot.meta import evaluate, problems

pytestmark = pytest.mark.usefixtures("x64")

RATE, STEPS = 0.5, 2
LEFT = (1 - RATE) ** STEPS  # what of the distance to an optimum is left after adapting


@pytest.fixture
def maml():
    return meta.maml(problems.quadratic_loss, meta.rules.sgd(RATE), STEPS)


def tasks_at(optima):
    optima = jnp.asarray(optima, jnp.float64)
    return problems.quadratics(jnp.ones_like(optima), optima)


def error(start, optimum):
    return 0.5 * (LEFT * (np.asarray(start) - np.asarray(optimum))) ** 2


def at_mean(maml):
    """Training, in closed form: the mean of the training optima."""

    def fit(tasks, seed):
        del seed
        return maml.init(tasks.support[1].mean())

    return fit


def test_leave_one_task_out(maml):
    optima = np.asarray([0.0, 1.0, 5.0])
    found = evaluate.cross_validate(at_mean(maml), maml, tasks_at(optima))
    for fold in range(3):
        others = np.delete(optima, fold)
        assert found.held_out[fold] == pytest.approx(error(others.mean(), optima[fold]))
        assert found.train[fold] == pytest.approx(error(others.mean(), others).mean())
    np.testing.assert_allclose(found.gap, found.held_out - found.train)
    np.testing.assert_allclose(found.errors, found.held_out)
    assert found.groups == ("task 0", "task 1", "task 2")
    assert found.gap_mean == pytest.approx(found.gap.mean())
    assert found.gap_low < found.gap_mean < found.gap_high


def test_leave_one_group_out_trains_on_no_member_of_the_group(maml):
    optima = np.asarray([0.0, 10.0, 1.0, 11.0, 0.5])
    groups = ["low", "high", "low", "high", "low"]
    seen = []

    def fit(tasks, seed):
        seen.append((tasks.support[1][:, 0].tolist(), seed))
        return at_mean(maml)(tasks, seed)

    found = evaluate.cross_validate(fit, maml, tasks_at(optima), groups, seed=7)
    assert seen == [([10.0, 11.0], 7), ([0.0, 1.0, 0.5], 7)]
    assert found.groups == ("low", "high")
    assert found.group_of_task.tolist() == [0, 1, 0, 1, 0]
    assert found.held_out[0] == pytest.approx(error(10.5, optima[[0, 2, 4]]).mean())
    assert (found.gap > 0).all()
    again = evaluate.CrossValidation.from_json(found.to_json())
    assert again.groups == found.groups
    np.testing.assert_array_equal(again.gap, found.gap)


def test_cross_validation_says_what_it_needs(maml):
    with pytest.raises(OptionError, match="3 group names"):
        evaluate.cross_validate(at_mean(maml), maml, tasks_at([0, 1, 2]), ["a", "b"])
    with pytest.raises(OptionError, match="two groups"):
        evaluate.cross_validate(at_mean(maml), maml, tasks_at([0, 1]), ["a", "a"])


def test_forgetting_matrix(maml):
    optima = np.asarray([-1.0, 1.0, 4.0])
    found = evaluate.forgetting(maml, maml.init(jnp.asarray(0.0)), tasks_at(optima))
    np.testing.assert_allclose(found.before, 0.5 * optima**2)
    adapted = optima * (1 - LEFT)
    np.testing.assert_allclose(found.after, 0.5 * (adapted[:, None] - optima[None]) ** 2)
    change = found.after - found.before
    assert found.own_change == pytest.approx(np.diag(change).mean())
    assert found.other_change == pytest.approx(change[~np.eye(3, dtype=bool)].mean())
    assert found.own_change < 0 < found.other_change
    assert found.diverged == 0


def test_forgetting_along_a_sequence(maml):
    optima = np.asarray([2.0, -2.0, 3.0])
    found = evaluate.sequence_forgetting(maml, maml.init(jnp.asarray(0.0)), tasks_at(optima))
    phi, rows = 0.0, [0.5 * optima**2]
    for optimum in optima:
        phi = optimum + LEFT * (phi - optimum)
        rows.append(0.5 * (phi - optima) ** 2)
    rows = np.asarray(rows)
    np.testing.assert_allclose(found.errors, rows)
    final = rows[-1, :2]
    assert found.backward_transfer == pytest.approx((final - [rows[1, 0], rows[2, 1]]).mean())
    assert found.average_forgetting == pytest.approx((final - rows[:-1, :2].min(0)).mean())
    with pytest.raises(TaskError, match="at least 2"):
        evaluate.sequence_forgetting(maml, maml.init(1.0), tasks_at([1.0]))


def test_a_diverged_adaptation_is_counted_by_forgetting():
    maml = meta.maml(problems.quadratic_loss, meta.rules.sgd(1.0), 3)
    tasks = problems.quadratics(jnp.asarray([0.5, 1e200]), jnp.asarray([1.0, 1.0]))
    found = evaluate.forgetting(maml, maml.init(jnp.asarray(0.0)), tasks)
    assert found.diverged == 2  # adapted to the second: both errors
    assert np.isfinite(found.own_change)


# --- imbalance: the initialisation is a table of one mean per group, a shot is (group, label)


def mean_loss(means, data):
    group, label = data
    return jnp.mean((means[group] - label) ** 2)


def shot_error(means, data, stats):
    group, label = data
    return (means[group] - label) ** 2


@pytest.fixture
def grouped():
    """Two tasks; group g's label is g + 1; six support shots of group 0 and four of group 1."""
    support = np.tile(np.asarray([0, 1, 0, 1, 0, 0, 1, 0, 1, 0], np.int32), (2, 1))
    query = np.tile(np.asarray([0, 1], np.int32), (2, 1))
    data = [(jnp.asarray(g), jnp.asarray(g + 1.0)) for g in (support, query)]
    return meta.Task(*data), support, query


def test_imbalance_measures_each_group(grouped):
    tasks, support, query = grouped
    maml = meta.maml(mean_loss, meta.rules.sgd(0.5), 1)
    state = maml.init(jnp.zeros(2))
    counts = [(2, 2), (3, 1), (1, 3), (4, 0)]
    found = evaluate.imbalance(maml, state, tasks, support, query, counts, shot_error)
    share = np.asarray(counts) / np.sum(counts, axis=1, keepdims=True)
    # one step of rate ½ on a mean square moves a group's mean by its share of the distance.
    expected = ((1 - share) * [1.0, 2.0]) ** 2
    np.testing.assert_allclose(found.mean, expected, rtol=1e-12)
    np.testing.assert_allclose(found.worst_gap, np.ptp(expected, axis=1))
    assert found.not_counted.sum() == 0
    assert found.errors.shape == (4, 2, 2)
    again = evaluate.Imbalance.from_json(found.to_json())
    np.testing.assert_array_equal(again.counts, found.counts)


def test_a_group_absent_from_the_query_is_not_counted(grouped):
    tasks, support, query = grouped
    maml = meta.maml(mean_loss, meta.rules.sgd(0.5), 1)
    only_first = np.zeros_like(query)
    found = evaluate.imbalance(
        maml, maml.init(jnp.zeros(2)), tasks, support, only_first, [(1, 1)], shot_error
    )
    assert found.not_counted.tolist() == [[0, 2]]
    assert np.isnan(found.mean[0, 1])


def test_with_counts_keeps_the_first_shots_of_each_group(grouped):
    tasks, support, _ = grouped
    cut = evaluate.with_counts(tasks, support, (2, 1))
    assert cut.support[0].tolist() == [[0, 1, 0]] * 2
    with pytest.raises(TaskError, match=r"5 support shots of group 1 in .*; got 4 in task 0"):
        evaluate.with_counts(tasks, support, (1, 5))
    with pytest.raises(OptionError, match=r"\(0, 0\)"):
        evaluate.with_counts(tasks, support, (0, 0))

"""Few-shot digits, a quick version: integer labels, batch norm in both variants, held-out classes.

The full benchmark is `benchmarks/digits/run.py`; its episodes and network are used here.
"""

import jax
import jax.numpy as jnp
import network
import numpy as np
import optax
import pytest
from episodes import Shape, Training, draw, episode, split

from kshot import meta
from kshot.meta import evaluate, metagrads, rules

SHAPE = Shape((2, 2, 2), query=3)


@pytest.fixture(scope="module")
def digits():
    return split(0)


@pytest.fixture(scope="module")
def tasks(digits):
    return draw(jax.random.key(3), jnp.asarray(digits.train), SHAPE, 4)


@pytest.fixture
def net():
    # a head away from zero, so that no derivative is zero by symmetry.
    net = network.init(jax.random.key(0), SHAPE.way)
    return net._replace(weight=0.1 * jax.random.normal(jax.random.key(1), net.weight.shape))


def loss_of(kind):
    return {"transductive": network.transductive, "running": network.stateful()}[kind]


# --- episodes


def test_classes_are_held_out_and_images_are_used_once(digits):
    assert len(digits.test_digits) == 4
    assert digits.train.shape[:2] == (6, 8)  # six digits, eight orientations
    known, unseen, new = (
        {image.tobytes() for image in part.reshape(-1, 64)}
        for part in (digits.train, digits.validation, digits.test)
    )
    assert not known & new
    assert not known & unseen
    task = episode(jax.random.key(0), jnp.asarray(digits.test), SHAPE)
    assert task.support[1].dtype == jnp.int32
    images = np.concatenate([task.support[0], task.query[0]]).reshape(-1, 64)
    assert len(np.unique(images, axis=0)) == len(images)  # no image is in support and query


def test_which_class_is_large_is_drawn_anew(digits):
    stack = draw(jax.random.key(0), jnp.asarray(digits.train), Shape((5, 1, 1)), 20)
    counts = np.stack([np.bincount(labels, minlength=3) for labels in np.asarray(stack.support[1])])
    assert np.array_equal(np.sort(counts, axis=1), np.tile([1, 1, 5], (20, 1)))
    assert set(counts.argmax(1)) == {0, 1, 2}
    assert (np.bincount(np.asarray(stack.query[1]).ravel()) == 200).all()


# --- integer labels through every meta-gradient


@pytest.mark.parametrize("kind", ["transductive", "running"])
def test_integer_labels_through_every_meta_gradient(kind, net, tasks):
    exact, mixed, first_order = (
        gradient(kind, metagrad, rules.sgd(0.1), net, tasks)
        for metagrad in (
            metagrads.unrolled(4, "per_step"),
            metagrads.mixed_mode(4, "nested"),
            metagrads.first_order(4),
        )
    )
    np.testing.assert_allclose(exact, mixed, rtol=1e-4, atol=1e-6)
    assert np.linalg.norm(exact - first_order) > 1e-3 * np.linalg.norm(exact)
    pulled = rules.proximal(1.0, rules.sgd(0.1))
    assert np.isfinite(gradient(kind, metagrads.implicit(3, 3), pulled, net, tasks)).all()
    assert np.isfinite(gradient(kind, metagrads.reptile(2), rules.sgd(0.1), net, tasks)).all()


def gradient(kind, metagrad, rule, net, tasks):
    # one layer has all there is to differentiate, and compiles in half the time.
    net = net._replace(body=net.body[:1], weight=net.weight[: network.CHANNELS[0]])
    running = meta.Stateful(network.running, network.initial_moments()[:1])
    loss = {"transductive": network.transductive, "running": running}[kind]
    algorithm = meta.bilevel(loss, rule, metagrad)
    state = algorithm.init(net)
    task = meta.take(tasks, 0)
    run = jax.jit(lambda s: algorithm.metagrad(s.learner, algorithm.objective, task, None, s.stats))
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(run(state)[1].params)])


# --- batch normalisation


def test_running_statistics_have_a_row_per_step_and_move(net, tasks):
    algorithm = meta.fomaml(network.stateful(), rules.sgd(0.5), steps=3)
    before = algorithm.init(net)
    state = before
    for _ in range(3):
        state, info = algorithm.step(state, tasks)
    assert int(info.skipped) == 0
    for old, new in zip(jax.tree.leaves(before.stats), jax.tree.leaves(state.stats), strict=True):
        assert new.shape == (4, *old.shape[1:])  # three inner steps and the query set
        assert np.abs(new - old).max(axis=1).min() > 1e-3  # every row has moved
    # the second layer sees what the inner steps changed: no two rows are alike.
    rows = np.asarray(state.stats[1].mean)
    assert min(np.abs(rows[i] - rows[j]).max() for i in range(4) for j in range(i)) > 1e-5


def test_adaptation_uses_row_s_at_step_s(net, tasks):
    algorithm = meta.fomaml(network.stateful(), rules.sgd(0.5), steps=2)
    state = algorithm.init(net)
    scale = jnp.asarray([1.0, 2.0, 4.0])
    stats = jax.tree.map(lambda rows: rows * scale[:, None] + 0.1 * scale[:, None], state.stats)
    state = meta.State(state.learner, state.opt_state, state.step, state.key, stats)
    task = meta.take(tasks, 0)
    phi = net
    errors = []
    for step in range(3):
        row = meta.take(stats, step)
        errors.append(network.running(phi, row, task.query)[0])
        slope = jax.grad(lambda p, r=row: network.running(p, r, task.support)[0])(phi)
        if step < 2:
            phi = jax.tree.map(lambda p, g: p - 0.5 * g, phi, slope)
    for ours, by_hand in zip(
        jax.tree.leaves(algorithm.adapt(state, task.support)), jax.tree.leaves(phi), strict=True
    ):
        np.testing.assert_allclose(ours, by_hand, rtol=2e-4, atol=1e-6)
    np.testing.assert_allclose(algorithm.losses(state, task), jnp.stack(errors), rtol=1e-4)


def test_running_statistics_and_those_of_an_image_judge_each_image_alone(net, tasks):
    images = meta.take(tasks, 0).query[0]
    for normaliser in (network.kept(network.initial_moments()), network.of_image):
        together = network.logits(net, images, normaliser)
        alone = jnp.concatenate([network.logits(net, image[None], normaliser) for image in images])
        np.testing.assert_allclose(together, alone, rtol=1e-4, atol=1e-5)
    in_batch = network.logits(net, images)
    in_part = network.logits(net, images[:4])
    assert np.abs(in_batch[:4] - in_part).max() > 1e-2  # the transductive one does not


# --- learning


@pytest.mark.parametrize("kind", ["transductive", "running"])
def test_training_helps_on_held_out_digits(kind, digits):
    shape = Shape((5, 5, 5), query=5)
    algorithm = meta.fomaml(loss_of(kind), rules.sgd(0.2), steps=5, outer=optax.adam(1e-2))
    start = algorithm.init(network.init(jax.random.key(0), 3))
    sampler = Training(jnp.asarray(digits.train), jnp.asarray(0), shape, 8)
    state = meta.train(algorithm, start, sampler, 300, progress="none").state
    test = draw(jax.random.key(9), jnp.asarray(digits.test), shape, 48)
    before, after = (
        evaluate.adaptation_curve(algorithm, s, test, 5, network.misclassified)
        for s in (start, state)
    )
    assert after.diverged_tasks.sum() == 0
    assert after.high[-1] < before.low[-1]
    assert after.mean[-1] < before.mean[-1] - 0.1

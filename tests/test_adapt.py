"""Adaptation in closed form: its algebra against the engine, refits, and what it chooses."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from kshot import meta
from kshot.atoms import Labelled
from kshot.core.errors import TaskError
from kshot.fewshot import meta_prior
from kshot.fewshot.adapt import Adapted, adapt, apply, to_pieces
from kshot.fewshot.anchors import anchor_rows, as_anchors
from kshot.fewshot.jacobian import Rows, rows
from kshot.fewshot.kept_rows import MOST_FILES, kept
from kshot.fewshot.least_squares import Fit, Prior, Solved, gram, score
from kshot.fewshot.meta_prior import Logs, episode, groups, learn_prior, query_loss, with_prior
from kshot.fewshot.shots import LOST, shots
from kshot.labelers import labeler
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from methanol import METHANOL

ELEMENTS = (1, 6, 8)
E0S = {1: -1.0, 6: -2.0, 8: -3.0}


def start(seed: int = 0) -> Model:
    potential = potentials.get("morse")(ELEMENTS)
    seen = Seen(ELEMENTS)
    return Model(potential, potential.init(jax.random.key(seed)), E0S, seen)


def labelled(count: int, seed: int = 0, width: float = 0.05) -> list[Labelled]:
    rng, engine = np.random.default_rng(seed), labeler("analytic")
    shape = METHANOL.positions.shape
    frames = [
        METHANOL.replace(positions=METHANOL.positions + width * rng.standard_normal(shape))
        for _ in range(count)
    ]
    return [Labelled(frame, engine.label(frame)) for frame in frames]


def by_another_start(frames: list[Labelled]) -> list[Labelled]:
    """Labels of a model that differs in its parameters only, by some percent."""
    said = start(1).predict([one.structure for one in frames])
    pairs = zip(frames, said, strict=True)
    return [Labelled(one.structure, labels) for one, labels in pairs]


def own(model: Model, frames: list[Labelled], **options: int) -> Rows:
    return rows(model.potential, model.params, to_pieces(model, frames), **options)


def fit(solved: Solved, without: Sequence[int] = ()) -> Fit:
    return solved.fits(solved.multipliers(solved.problem.rows.residual[None], [without]))[0]


def test_rows_are_derivatives_of_predictions():
    with jax.enable_x64(True):
        model, frames = start().astype("float64"), labelled(3)
        flat, unravel = ravel_pytree(model.params)
        way = np.random.default_rng(1).standard_normal(len(flat))
        ends = [
            own(model.with_(params=unravel(flat + sign * 1e-3 * way)), frames).residual
            for sign in (1, -1)
        ]
        slope = own(model, frames).jacobian @ way
    np.testing.assert_allclose((ends[0] - ends[1]) / 2e-3, slope, rtol=1e-4, atol=1e-4)


def test_fewer_directions_see_the_same_forces():
    model, frames = start(), labelled(2)
    full, few = own(model, frames), own(model, frames, directions=4)
    assert few.is_energy.sum() == 2
    assert len(few.frame) == 2 * (1 + 4)
    for frame in range(2):
        turned = few.ways[frame].reshape(4, -1)
        np.testing.assert_allclose(turned @ turned.T, np.eye(4), atol=1e-5)
        whole = full.residual[(full.frame == frame) & ~full.is_energy]
        seen = few.residual[(few.frame == frame) & ~few.is_energy]
        np.testing.assert_allclose(turned @ whole, seen, atol=1e-5)


def test_one_step_is_the_engines_gauss_newton():
    model, frames = start(), labelled(4)
    found = own(model, frames)
    prior = Prior(np.full(found.jacobian.shape[1], 0.25), energy_noise=0.02, force_noise=0.2)
    moved = fit(gram(found, prior).solve()).move
    noise = np.sqrt(prior.noise(found))
    flat, unravel = ravel_pytree(model.params)
    # the shift of energies is a parameter of its own here, with its wide prior.
    energies = jnp.asarray(np.where(found.is_energy[:, None], found.counts[found.frame], 0))

    def residuals(params, data):
        del data
        step = ravel_pytree(params["weights"])[0] - flat
        predicted = found.residual + found.jacobian @ step + 20.0 * energies @ params["shift"]
        return predicted / noise

    rule = meta.rules.gauss_newton(precision=4.0, damping=1e-9)
    loss = meta.SumOfSquares(residuals, reduce="sum")
    algorithm = meta.bilevel(loss, rule, meta.metagrads.exact(1))
    params = {"weights": unravel(flat), "shift": jnp.zeros(len(ELEMENTS))}
    data = jnp.zeros((1, 1))
    adapted = algorithm.adapt(algorithm.init(params), data)
    theirs = ravel_pytree(adapted["weights"])[0] - flat
    np.testing.assert_allclose(theirs, moved, atol=3e-3 * np.abs(moved).max())


def test_left_out_errors_are_those_of_fits_without_the_frame():
    model, frames = start(), labelled(5)
    found = own(model, frames)
    problem = gram(found, Prior(np.full(found.jacobian.shape[1], 0.1)))
    solved = problem.solve()
    left_out = solved.left_out()
    for frame in range(5):
        rest = [i for i in range(5) if i != frame]
        fitted = fit(problem.of(rest).solve())
        inside = fit(solved, without=[frame])
        np.testing.assert_allclose(inside.move, fitted.move, atol=1e-4 * abs(fitted.move).max())
        np.testing.assert_allclose(inside.shifts, fitted.shifts, atol=1e-4)
        here = found.frame == frame
        alone = found.jacobian[here] @ fitted.move + found.residual[here]
        shift = np.where(found.is_energy[here], found.counts[frame] @ fitted.shifts, 0)
        np.testing.assert_allclose(left_out[here], alone + shift, atol=1e-4)


def test_labels_of_its_own_kind_are_learned_whole():
    model, test = start(), by_another_start(labelled(20, seed=9))
    few, many = (adapt(model, by_another_start(labelled(k))) for k in (3, 20))
    errors = [force_error(one, test) for one in (model, few.model, many.model)]
    assert errors[2] <= errors[1] < 0.2 * errors[0]


def test_labels_of_another_kind_help():
    model, test = start(), labelled(20, seed=9)
    found = adapt(model, labelled(8))
    # the two kinds of Morse molecules differ in more than parameters: 0.35 eV/Å is what is left
    assert force_error(found.model, test) < 0.7 * force_error(model, test)


def force_error(model: Model, test: list[Labelled]) -> float:
    found = model.predict([one.structure for one in test])
    pairs = zip(found, test, strict=True)
    return float(np.sqrt(np.mean([(a.forces - b.labels.forces) ** 2 for a, b in pairs])))


def test_a_perfect_start_is_only_shifted():
    # labels of the start itself, ten eV lower: a plain baseline is all that is needed, and is used
    model = start()
    frames = labelled(6)
    said = model.predict([one.structure for one in frames])
    given = [
        Labelled(one.structure, type(labels)(labels.energy - 10.0, labels.forces))
        for one, labels in zip(frames, said, strict=True)
    ]
    found = adapt(model, given)
    assert found.chosen.method.name == "shift"
    assert found.chosen.method.baseline
    after = found.model.predict([given[0].structure])[0]
    assert abs(after.energy - given[0].labels.energy) < 1e-3
    np.testing.assert_array_equal(
        ravel_pytree(found.model.params)[0], ravel_pytree(model.params)[0]
    )


def test_the_same_labels_give_the_same_model():
    model, frames = start(), labelled(8)
    assert adapt(model, frames, seed=3).model.digest == adapt(model, frames, seed=3).model.digest


def test_one_label_is_refused():
    with pytest.raises(TaskError, match="2 labels or more"):
        adapt(start(), labelled(1))


def held(model: Model) -> Model:
    far = labelled(6, seed=5, width=0.15)
    said = model.predict([one.structure for one in far])
    pairs = zip(far, said, strict=True)
    anchors = as_anchors([Labelled(one.structure, labels) for one, labels in pairs])
    return model.with_(learned={"anchors": anchors})


def test_anchors_bound_what_is_forgotten():
    model, frames = held(start()), by_another_start(labelled(6, width=0.02))
    lost = [adapt(model, frames, keep=keep).drift for keep in (0.0, 1.0, 1e4)]
    assert all(one is not None for one in lost)
    before = [one.forces_before for one in lost]
    after = [one.forces_after for one in lost]
    assert max(before) < 1e-5
    assert after[2] < 0.5 * after[0]  # less than half is lost
    assert after[1] <= after[0] * 1.01
    assert anchor_rows(start()) is None


def test_meta_learned_prior_has_the_gradient_of_differences_and_helps():
    model = start()
    tasks = []
    for seed in range(3):
        found = own(model, labelled(8, seed=seed))
        tasks.append(episode(model, found, range(4), range(4, 8)))
    with jax.enable_x64(True):
        logs = Logs(jnp.full(len(groups(model)), -3.0), jnp.asarray(-4.0), jnp.asarray(-2.0))
        gradient = jax.grad(query_loss)(logs, tasks[0]).variance
        step = 1e-4 * jnp.eye(len(gradient))
        moved = [
            [query_loss(logs._replace(variance=logs.variance + s * row), tasks[0]) for s in (1, -1)]
            for row in step
        ]
        differences = np.array([(a - b) / 2e-4 for a, b in moved])
    np.testing.assert_allclose(gradient, differences, rtol=1e-4, atol=1e-8)
    learned = learn_prior(model, tasks)
    assert learned.after < learned.before
    kept = with_prior(model, learned)
    found = adapt(kept, labelled(6, seed=11), methods=("shift", "meta"))
    assert isinstance(found, Adapted)
    assert found.chosen.method.name == "meta"


def test_a_prior_that_breaks_down_leaves_the_best_one(monkeypatch):
    monkeypatch.setattr(meta_prior, "RATE", 30.0)  # noises soon vanish, and matrices are singular
    model, losses = start(), []
    task = episode(model, own(model, labelled(8)), range(4), range(4, 8))
    learned = learn_prior(model, [task], lambda _, loss: losses.append(loss))
    assert len(losses) < meta_prior.STEPS / 10  # it ended early
    values = [*learned.log_variance.values(), *learned.log_noise.values(), learned.after]
    assert np.isfinite(values).all()
    assert learned.after <= learned.before


def test_scores_are_root_mean_squares():
    found = own(start(), labelled(2))
    errors = np.where(found.is_energy, 2.0, 0.5)
    assert score(found, errors) == (2.0, 0.5)
    assert apply(start(), fit(gram(found, Prior(np.zeros(9))).solve())).params.keys() == {
        "log_depth",
        "log_rate",
        "length",
    }


def test_a_prediction_that_is_not_finite_counts_as_lost():
    model, frames = start(), labelled(3)
    some = shots(model, to_pieces(model, frames), own(model, frames))
    sound = some.residuals(np.zeros(ravel_pytree(model.params)[0].size))
    assert np.abs(sound).max() < LOST
    broken = some.residuals(np.full(ravel_pytree(model.params)[0].size, np.nan))
    np.testing.assert_array_equal(np.abs(broken), LOST)


def test_rows_of_anchors_are_kept_and_a_broken_file_costs_nothing(tmp_path, monkeypatch):
    held = start().with_(learned={"anchors": as_anchors(labelled(3))})
    fresh = anchor_rows(held, tmp_path)
    assert fresh is not None
    (file,) = tmp_path.glob("*.npz")

    def computed(*args, **options):
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr("kshot.fewshot.anchors.rows", computed)
        again = anchor_rows(held, tmp_path)
        assert again is not None
        for ours, theirs in zip(jax.tree.leaves(again), jax.tree.leaves(fresh), strict=True):
            np.testing.assert_array_equal(ours, theirs)
        # another start is another file.
        other = held.with_(params=jax.tree.map(lambda leaf: 1.1 * leaf, held.params))
        with pytest.raises(AssertionError):
            anchor_rows(other, tmp_path)
    file.write_bytes(file.read_bytes()[:100])
    mended = anchor_rows(held, tmp_path)
    assert mended is not None
    np.testing.assert_array_equal(mended.jacobian, fresh.jacobian)
    assert len(file.read_bytes()) > 100


def test_few_files_of_rows_are_kept(tmp_path):
    for name in range(MOST_FILES + 2):
        kept(tmp_path, str(name), lambda: own(start(), labelled(1)))
    assert len(list(tmp_path.iterdir())) == MOST_FILES
    (tmp_path / "file").touch()
    assert len(kept(tmp_path / "file" / "below", "x", lambda: own(start(), labelled(1))).frame)

"""Meta-training of a start by the engine's algorithms, and adaptation by the rule it leaves."""

from pathlib import Path

import jax
import numpy as np
import pytest

from kshot.atoms import Labelled
from kshot.atoms.graph import graph
from kshot.core import trees
from kshot.core.errors import OptionError, ParameterError, TaskError, UnknownNameError
from kshot.fewshot.adapt import adapt
from kshot.fewshot.adapters.inner import Inner, energy_forces, inner_of
from kshot.fewshot.algorithms import ALGORITHMS, Algorithm
from kshot.fewshot.recipes import CLOSED, RECIPES, Options, last_layers
from kshot.fewshot.task_batches import task_batches
from kshot.labelers import labeler
from kshot.pipeline.config import TrainConfig, parse_config
from kshot.pipeline.meta import MetaStage, as_scaffolds, meta_stage
from kshot.potentials import potentials
from kshot.potentials.model import Model, Seen
from kshot.potentials.model_file import load, save
from methanol import METHANOL

ELEMENTS = (1, 6, 8)
SHAPE = METHANOL.positions.shape
SLOW = ("imaml", "probabilistic")

INNER, FINETUNE = "inner", "finetune"


@pytest.fixture(scope="module")
def start() -> Model:
    potential = potentials.get("morse")(ELEMENTS)
    e0s = dict.fromkeys(ELEMENTS, 0.0)
    return Model(potential, potential.init(jax.random.key(0)), e0s, Seen(ELEMENTS))


@pytest.fixture(scope="module")
def families() -> dict[str, list[Labelled]]:
    """Methanol labelled by the analytic engine, each family around another geometry."""
    engine, found = labeler("analytic"), {}
    for place in range(5):
        rng, name = np.random.default_rng(place), f"f{place}"
        centre = METHANOL.positions * (1 + 0.03 * place)
        frames = [
            METHANOL.replace(positions=centre + 0.05 * rng.standard_normal(SHAPE), family=name)
            for _ in range(10)
        ]
        found[name] = [Labelled(frame, engine.label(frame)) for frame in frames]
    return found


def config(name: Algorithm, **changes: object) -> TrainConfig:
    told = {"shots": 4, "query": 4, "steps": 40, "inner_steps": 2, "adapt_steps": 4, "tasks": 2}
    told |= {"rate": 0.02, "inner_rate": 0.003, "algorithm": name}
    return parse_config({"meta": told | changes})


def split(families):
    names = sorted(families)
    training = {name: families[name] for name in names[:4]}
    return training, {names[4]: families[names[4]]}


def lines_of(start, families, asked: TrainConfig, folder: Path) -> tuple[Model, list[str]]:
    lines: list[str] = []
    return staged(start, families, asked).run(start, folder, 0, lines.append), lines


def staged(start, families, asked: TrainConfig) -> MetaStage:
    stage = meta_stage(start, *split(families), asked)
    assert stage is not None
    return stage


def test_every_name_has_a_recipe():
    assert set(RECIPES) == set(ALGORITHMS)
    assert set(CLOSED) < set(RECIPES)


# heads need a readout, which a Morse potential has not.
@pytest.mark.parametrize(
    "name", ["maml", "reptile", "mamlpp", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)]
)
def test_training_lowers_the_error_after_adaptation(name, start, families, tmp_path):
    found, lines = lines_of(start, families, config(name), tmp_path)
    before, after = (error_after_adaptation(model, families, name) for model in (start, found))
    assert after < 0.9 * before
    assert len(lines) == 5
    assert lines[-1].startswith(f"{name}, step 40: training families: ")
    assert "unseen families: " in lines[-1]
    assert " meV/Å" in lines[-1]


def error_after_adaptation(model: Model, families, name: str) -> float:
    """Return the loss on the unseen family's query frames; a model without a rule gets one."""
    inner = inner_of(model) or of(model, name)
    algorithm = inner.algorithm()
    stream = stream_of(model, split(families)[1])
    (task,) = stream.first_of_each()
    state = inner.state(algorithm, model.params)
    return float(inner.loss(algorithm.adapt(state, task.support, inner.steps), task.query))


def of(model: Model, name: str) -> Inner:
    return Inner(name, energy_forces(model, 1.0, 1.0), Options(2, 0.003), 4)


def stream_of(model: Model, families, **changes: int):
    told = {"shots": 4, "query": 4, "tasks": 2, "most_atoms": 24} | changes
    scaffolds = {name: as_scaffolds(model, frames) for name, frames in families.items()}
    return task_batches(scaffolds, **told, cutoff=model.potential.cutoff, dtype="float32")


def test_a_killed_training_goes_on_to_the_same_bits(start, families, tmp_path):
    whole, _ = lines_of(start, families, config("fomaml"), tmp_path / "whole")

    def stop(line: str) -> None:
        if "step 16" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        staged(start, families, config("fomaml")).run(start, tmp_path / "killed", 0, stop)
    again, lines = lines_of(start, families, config("fomaml"), tmp_path / "killed")
    assert again.digest == whole.digest
    assert len(lines) < 5


def test_the_rule_is_kept_with_the_start_and_takes_part(start, families, tmp_path):
    found, _ = lines_of(start, families, config("meta_sgd"), tmp_path)
    save(found, tmp_path / "start.kshot")
    back = load(tmp_path / "start.kshot")
    assert back.digest == found.digest
    first, second = inner_of(found), inner_of(back)
    assert first is not None
    assert second is not None
    assert (second.name, second.options, second.steps) == (first.name, first.options, first.steps)
    rates = [np.asarray(leaf) for leaf in first.learned or ()]
    assert any(np.ptp(leaf) > 0.01 for leaf in rates if leaf.size > 1)  # they were learned
    done = adapt(back, families["f4"], methods=("shift", INNER))
    assert [one.method.name for one in done.candidates] == ["shift", "meta_sgd"]
    assert done.chosen.method.name == "meta_sgd"
    again = adapt(back, families["f4"], methods=("shift", INNER))
    assert again.model.digest == done.model.digest
    said = back.predict([families["f4"][0].structure])[0].forces
    assert np.abs(done.forces(families["f4"][0].structure) - said).max() > 1e-3


def test_adaptation_by_a_rule_is_the_engines(start, families, tmp_path):
    found, _ = lines_of(start, families, config("fomaml"), tmp_path)
    inner = inner_of(found)
    assert inner is not None
    done = adapt(found, families["f4"][:9], methods=("shift", INNER))
    assert done.chosen.method.name == "fomaml"
    stream = stream_of(found, families, shots=9, query=1)
    task = stream.task(as_scaffolds(found, families["f4"])[0])
    algorithm = inner.algorithm()
    want = algorithm.adapt(inner.state(algorithm, found.params), task.support, inner.steps)
    for ours, theirs in zip(jax.tree.leaves(done.model.params), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_a_rule_called_finetune_is_not_taken_for_fine_tuning(start, families, tmp_path):
    found, _ = lines_of(start, families, config("finetune"), tmp_path)
    shots, ways = families["f4"], (INNER, FINETUNE)
    done = adapt(found, shots, methods=("shift", *ways))
    said = done.summary()["candidates"]
    assert [one["method"] for one in said] == ["shift", "finetune", "finetune"]
    assert [one["chosen"] for one in said].count(True) == 1
    alone = [adapt(found, shots, methods=("shift", way)) for way in ways]
    errors = [one.chosen.error.together for one in alone]
    digests = [one.model.digest for one in alone]
    assert digests[0] != digests[1]
    assert done.model.digest == digests[int(np.argmin(errors))]


def test_a_start_without_a_rule_has_none(start, families):
    assert inner_of(start) is None
    done = adapt(start, families["f0"], methods=("shift", INNER))
    assert [one.method.name for one in done.candidates] == ["shift"]


def test_a_rule_of_a_later_version_is_refused(start, families, tmp_path):
    found, _ = lines_of(start, families, config("finetune"), tmp_path)
    (said,) = found.learned[INNER].values()
    later = found.with_(learned={INNER: {"telepathy": said}})
    with pytest.raises(UnknownNameError, match="'telepathy', unknown here"):
        adapt(later, families["f0"])


def test_methods_that_cannot_be(start, families):
    with pytest.raises(UnknownNameError, match="no method is called 'innner'"):
        adapt(start, families["f0"], methods=("shift", "innner"))
    with pytest.raises(OptionError, match="one of shift, head"):
        adapt(start, families["f0"], methods=(INNER,))


def test_what_cannot_be_trained_is_told_before_anything_is(start, families):
    with pytest.raises(ParameterError, match="at least one leaf that adapts"):
        meta_stage(start, *split(families), config("anil"))
    with pytest.raises(TaskError, match="frames of at most 24 atoms"):
        meta_stage(start, *split(families), config("maml", shots=9))
    assert meta_stage(start, *split(families), parse_config({})) is None


def test_fine_tuning_is_not_trained(start, families, tmp_path):
    found, lines = lines_of(start, families, config("finetune"), tmp_path)
    assert not lines
    for ours, theirs in zip(*map(jax.tree.leaves, (found.params, start.params)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    inner = inner_of(found)
    assert inner is not None
    assert (inner.name, inner.steps) == ("finetune", 4)


def test_tasks_are_of_one_scaffold_and_share_no_frame(start, families):
    stream = stream_of(start, families)
    task = stream(np.random.default_rng(0))
    assert task.support.energy.shape == (2, 1, 4)
    for number in range(2):
        support, query = (
            {atom.tobytes() for atom in np.asarray(part.graph.positions)[number, 0]}
            for part in (task.support, task.query)
        )
        assert support & query == {bytes(12)}  # padding atoms stand at the origin


def test_too_few_frames_are_told(start, families):
    with pytest.raises(TaskError, match="14 frames of at most 24 atoms"):
        stream_of(start, families, shots=7, query=7)
    with pytest.raises(TaskError, match="8 frames of at most 5 atoms"):
        stream_of(start, families, most_atoms=5)


def test_the_last_layer_of_each_readout_is_found():
    potential = potentials.get("mace")(ELEMENTS, size="tiny")
    params = potential.init(jax.random.key(0))
    chosen = {id(leaf) for leaf in last_layers(params)}
    names = [name for name, leaf in trees.named_leaves(params) if id(leaf) in chosen]
    assert names
    assert all("readout" in name for name in names)
    # energies are linear in them: twice the last layers is twice the energy.
    double = jax.tree.map(lambda leaf: 2 * leaf if id(leaf) in chosen else leaf, params)
    shown = as_graph(potential)
    one, two = (float(potential.energies(p, shown).sum()) for p in (params, double))
    assert one != 0
    np.testing.assert_allclose(two, 2 * one, rtol=1e-4)


def as_graph(potential):
    return jax.tree.map(jax.numpy.asarray, graph(METHANOL, potential.cutoff, np.float32))

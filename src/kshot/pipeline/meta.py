"""What a start learns after joint training: to adapt, how far it may move, and its anchors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kshot.atoms import Labelled
from kshot.core.bars import bar
from kshot.core.seeds import named_generator
from kshot.fewshot.adapt import to_pieces
from kshot.fewshot.adapters.inner import Inner, energy_forces, with_inner
from kshot.fewshot.anchors import NAME, as_anchors
from kshot.fewshot.jacobian import rows
from kshot.fewshot.meta_prior import Episode, Learned, episode, learn_prior, with_prior
from kshot.fewshot.meta_training import meta_train
from kshot.fewshot.recipes import CLOSED, UNTRAINED, Options
from kshot.fewshot.task_batches import Task, TaskBatches, of_one_room, task_batches
from kshot.pipeline.config import TrainConfig
from kshot.pipeline.seen import one_scaffold
from kshot.potentials.model import Model
from kshot.potentials.packed import Piece

Say = Callable[[str], None]
WATCHED = 3  # families of each kind whose errors are told as training goes
DIRECTIONS = 24  # of force per frame: the prior is learned from many families, not from all rows


def with_learned_prior(
    model: Model,
    validation: Mapping[str, Sequence[Labelled]],
    *,
    shots: int,
    query: int,
    seed: int,
    say: Say,
) -> Model:
    """Return the start with a prior learned on families that its body has not seen.

    Args:
        model: the start.
        validation: frames by family.
        shots: K, of each task.
        query: frames to judge on, of each task.
        seed: which frames.
        say: what lines of progress are given to.
    """
    tasks = []
    with bar("tasks to learn the prior on", len(validation)) as advance:
        for name, frames in validation.items():
            if (task := _task(model, name, frames, shots, query, seed)) is not None:
                tasks.append(task)
            advance(1)
    if not tasks:
        say(f"no prior learned: no family for choosing has {shots} + {query} frames alike")
        return model
    learned = learn_prior(model, tasks, lambda n, loss: say(f"prior, step {n}: loss {loss:.3f}"))
    say(_words(learned, len(tasks)))
    return with_prior(model, learned)


class MetaStage(NamedTuple):
    """Meta-training made ready: what could be wrong with it has been found before it costs much.

    Args:
        inner: the algorithm.
        stream: the tasks to train on.
        watched: tasks to report errors on, by what they are.
    """

    inner: Inner
    stream: TaskBatches
    watched: Mapping[str, Sequence[Task]]

    def run(self, model: Model, out: Path, seed: int, say: Say) -> Model:
        """Return a jointly trained start, meta-trained; ``out`` keeps checkpoints and metrics."""
        if self.inner.name == UNTRAINED:  # joint training is all it is to have seen
            return with_inner(model, self.inner, model.params)
        return meta_train(
            model,
            self.stream,
            self.inner,
            watched=self.watched,
            folder=out,
            seed=seed,
            say=say,
        )


def meta_stage(
    model: Model,
    training: Mapping[str, Sequence[Labelled]],
    validation: Mapping[str, Sequence[Labelled]],
    config: TrainConfig,
) -> MetaStage | None:
    """Return the meta-training that a configuration names; None if it names none.

    Args:
        model: the start, trained or not.
        training: frames by family.
        validation: the same of families that nothing is trained on.
        config: of the training.

    Raises:
        TaskError: no family has frames enough.
        ParameterError: the network has no leaf that the algorithm could adapt.
    """
    asked, loss = config.meta, config.loss
    if asked.algorithm is None:
        return None
    options = Options(
        asked.inner_steps, asked.inner_rate, asked.optimiser, asked.steps, asked.rate, asked.clip
    )
    inner = Inner(
        asked.algorithm,
        energy_forces(model, loss.energy_weight, loss.forces_weight),
        options,
        CLOSED.get(asked.algorithm, asked.adapt_steps),
    )
    inner.state(inner.algorithm(), model.params)
    streams = of_one_room(
        {
            name: task_batches(
                {family: as_scaffolds(model, frames) for family, frames in those.items()},
                shots=asked.shots,
                query=asked.query,
                tasks=asked.tasks,
                most_atoms=asked.most_atoms,
                cutoff=config.model.cutoff,
                dtype=config.precision,
            )
            for name, those in (("training families", training), ("unseen families", validation))
            if those
        }
    )
    watched = {name: stream.first_of_each()[:WATCHED] for name, stream in streams.items()}
    return MetaStage(inner, streams["training families"], watched)


def as_scaffolds(model: Model, frames: Sequence[Labelled]) -> list[list[Piece]]:
    """Return frames of one family by composition and charge."""
    left, found = list(frames), []
    while left:
        same = one_scaffold(left)
        found.append(to_pieces(model, same))
        taken = {id(one) for one in same}
        left = [one for one in left if id(one) not in taken]
    return found


def with_anchors(
    model: Model, training: Mapping[str, Sequence[Labelled]], count: int, seed: int
) -> Model:
    """Return the start with anchors: a frame of each of so many families, neutral singlets."""
    rng = named_generator(seed, "anchors")
    names = [name for name, frames in training.items() if _plain(frames)]
    if not count or not names:
        return model
    chosen = rng.choice(names, min(count, len(names)), replace=False)
    held = [_plain(training[name])[0] for name in sorted(chosen)]
    return model.with_(learned={**model.learned, NAME: as_anchors(held)})


def _plain(frames: Sequence[Labelled]) -> list[Labelled]:
    return [one for one in frames if one.structure.charge == 0 and one.structure.multiplicity == 1]


def _task(
    model: Model, name: str, frames: Sequence[Labelled], shots: int, query: int, seed: int
) -> Episode | None:
    """Return a task of one scaffold of a family; None if it has too few frames."""
    same = one_scaffold(frames)
    if len(same) < shots + query:
        return None
    order = named_generator(seed, f"prior/{name}").permutation(len(same))[: shots + query]
    own = rows(
        model.potential,
        model.params,
        to_pieces(model, [same[i] for i in order]),
        directions=DIRECTIONS,
        seed=seed,
    )
    return episode(model, own, range(shots), range(shots, shots + query))


def _words(learned: Learned, tasks: int) -> str:
    gain = 100 * (1 - np.exp(learned.after - learned.before))
    return (
        f"prior learned on {tasks} families: query errors {gain:.0f} % below those of the best "
        "single variance"
    )

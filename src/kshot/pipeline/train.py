"""Meta-training from a configuration to a start: draw, label, train, write."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kshot.atoms import Fingerprint, Labelled
from kshot.atoms.e0s import E0s, e0s_from_labeler, fit_e0s
from kshot.atoms.files import read_labelled
from kshot.core.errors import DataError
from kshot.core.rng import named_key
from kshot.fewshot.batches import batches
from kshot.fewshot.joint import Errors, Plan, Report, Watch, family_errors, train_jointly
from kshot.labelers import labeler
from kshot.pipeline.config import FamiliesConfig, TrainConfig
from kshot.pipeline.draws import draw_all, jobs_of, label_frames
from kshot.pipeline.families import Chosen, chosen, fits
from kshot.pipeline.meta import Say, meta_stage, with_anchors, with_learned_prior
from kshot.pipeline.seen import seen_in
from kshot.potentials import NETWORKS, EnergyForces, Potential, potentials
from kshot.potentials.model import Model
from kshot.potentials.packed import Piece, pieces

LOOSE = 10.0  # eV: E0s of lone atoms lie far from what an atom is worth in molecules
E0_DIGITS = 6  # of an eV, behind the point
FRAMES_TO_WATCH = 8  # of each validation family


class Data(NamedTuple):
    """Labelled frames by family.

    Args:
        training: families that train.
        validation: families to choose on.
        failed: what could not be drawn, in words, and how many labels failed.
    """

    training: dict[str, list[Labelled]]
    validation: dict[str, list[Labelled]]
    failed: list[str]


def prepare(config: TrainConfig, families: Chosen) -> Data:
    """Draw and label what is not there yet, and return it."""
    data = config.data
    if data.labelled is not None:
        return read_data(data.labelled, config.families, labeler(data.engine).fingerprint)
    fresh = [*families.training, *families.validation]
    ways = [one.draw() for one in data.draws]
    jobs = jobs_of(fresh, ways, data.engine, config.seed, data.folder / "frames")
    drawn = draw_all(jobs, data.workers)
    labelled, lost = label_frames(
        drawn.frames, data.engine, data.folder / "labels.ledger", data.workers
    )
    failed = drawn.failed + ([f"{lost} labels"] if lost else [])
    by_family: dict[str, list[Labelled]] = {}
    for one in labelled:
        by_family.setdefault(one.structure.family, []).append(one)
    pick = lambda those: {f.name: by_family[f.name] for f in those if f.name in by_family}  # noqa: E731
    return Data(pick(families.training), pick(families.validation), failed)


def read_data(path: Path, families: FamiliesConfig, level: Fingerprint) -> Data:
    """Return the labelled frames of a file: those of families that are not named otherwise train.

    Args:
        path: a file that `read_labelled` reads.
        families: which may train, and which are for choosing.
        level: of labels whose file does not say theirs; E0s are of it too.

    Raises:
        DataError: a frame without a family, or no frame that may train.
    """
    training: dict[str, list[Labelled]] = {}
    validation: dict[str, list[Labelled]] = {}
    for number, frame in enumerate(read_labelled(path)):
        name = frame.structure.family
        if not name:
            todo = "Say it in its comment as family=NAME."
            raise DataError("a family of each frame", f"{path}, frame {number}: none", todo)
        if name in (*families.held_out, *families.relatives) or not fits(frame.structure, families):
            continue
        if frame.labels.fingerprint is None:
            frame = frame._replace(labels=dataclasses.replace(frame.labels, fingerprint=level))
        side = validation if name in families.validation else training
        side.setdefault(name, []).append(frame)
    if not training:
        todo = "Check families: elements, most_atoms, held_out, validation."
        raise DataError("frames that may train", f"none in {path}", todo)
    return Data(training, validation, [])


def settle_e0s(engine: str, training: Mapping[str, Sequence[Labelled]]) -> E0s:
    """Return what each element is worth in the training molecules, in eV.

    Lone atoms are the prior; the fit takes off what bonds have in common, so that what is left for
    the network is small. They are rounded: with other numbers of threads their last bits are
    others, and a run would not go on there, since its frames are no longer the same.
    """
    frames = [frame for family in training.values() for frame in family]
    numbers = {int(z) for frame in frames for z in frame.structure.numbers}
    fitted = fit_e0s(frames, e0s_from_labeler(labeler(engine), numbers), width=LOOSE)
    energies = {z: round(energy, E0_DIGITS) for z, energy in fitted.energies.items()}
    return dataclasses.replace(fitted, energies=energies)


def as_pieces(
    families: Mapping[str, Sequence[Labelled]], cutoff: float, e0s: E0s
) -> dict[str, list[Piece]]:
    """Return the frames of each family as pieces."""
    return {
        name: pieces(some, cutoff, e0s.sums([one.structure for one in some]))
        for name, some in families.items()
    }


def train(config: TrainConfig, out: Path, say: Say = print) -> Model:
    """Return the start that a configuration asks for.

    The same call goes on where a killed one ended.

    Args:
        config: what to train, on what.
        out: the folder of checkpoints and metrics.
        say: what lines of progress are given to.
    """
    families = chosen(config.families)
    data = prepare(config, families)
    e0s = settle_e0s(config.data.engine, data.training)
    training = as_pieces(data.training, config.model.cutoff, e0s)
    validation = as_pieces(data.validation, config.model.cutoff, e0s)
    potential = build(config, training)
    loss = EnergyForces(
        potential,
        energy_weight=config.loss.energy_weight,
        forces_weight=config.loss.forces_weight,
        huber=config.loss.huber,
    )
    joint = config.joint
    plan = Plan(joint.steps, joint.rate, joint.clip, config.seed)
    stream = batches(training, joint.batch, config.model.cutoff, config.precision, joint.packs)
    seen = seen_in([one for some in data.training.values() for one in some])
    record = {"config": config.model_dump(mode="json"), "families": sorted(data.training)}
    fresh = potential.init(named_key(config.seed, "parameters"))
    model = Model(potential, fresh, e0s.energies, seen, record=record)
    stage = meta_stage(model, data.training, data.validation, config)
    watch = [watcher(potential, validation, say)] if validation else []
    if joint.minutes is not None:
        watch.append(clock(60 * joint.minutes, say))
    params = train_jointly(loss, stream, plan, params=fresh, folder=out, watch=watch)
    model, meta = model.with_(params=params), config.meta
    if stage is not None:
        model = stage.run(model, out, config.seed, say)
    model = with_anchors(model, data.training, config.anchors, config.seed)
    if not data.validation:
        return model
    return with_learned_prior(
        model, data.validation, shots=meta.shots, query=meta.query, seed=config.seed, say=say
    )


def build(config: TrainConfig, training: Mapping[str, Sequence[Piece]]) -> Potential:
    """Return the untrained potential for the elements there are."""
    every = [piece.graph for some in training.values() for piece in some]
    elements = tuple(sorted({int(z) for one in every for z in one.numbers}))
    neighbours = sum(int(one.edges) for one in every) / sum(len(one.numbers) for one in every)
    model = config.model
    if model.architecture not in NETWORKS:
        return potentials.get(model.architecture)(elements, cutoff=model.cutoff)
    return potentials.get(model.architecture)(
        elements,
        size=model.size,
        cutoff=model.cutoff,
        neighbours=round(neighbours, 2),
        config=model.config,
    )


def watcher(potential: Potential, validation: Mapping[str, Sequence[Piece]], say: Say) -> Watch:
    """Return a callback that says how families do that nothing is trained on."""
    few = {
        name: some[:: max(1, len(some) // FRAMES_TO_WATCH)][:FRAMES_TO_WATCH]
        for name, some in validation.items()
    }

    def watch(report: Report) -> None:
        errors = family_errors(potential, report.state.params, few)
        say(f"step {report.step}: loss {report.values['loss']:.4f}; {words(errors)}")

    return watch


def clock(seconds: float, say: Say) -> Watch:
    """Return a callback that ends training after so long; a later run goes on from there."""
    end = time.monotonic() + seconds

    def watch(report: Report) -> bool:
        if over := time.monotonic() > end:
            todo = "train again with --force to go on, or give fewer steps"
            say(f"step {report.step}: the time is over; {todo}")
        return over

    return watch


def words(errors: Mapping[str, Errors]) -> str:
    """Say the mean errors of many families."""
    energy = 1e3 * np.mean([one.energy for one in errors.values()])
    forces = 1e3 * np.mean([one.forces for one in errors.values()])
    return f"unseen families, unadapted: energy {energy:.1f} meV, forces {forces:.0f} meV/Å"

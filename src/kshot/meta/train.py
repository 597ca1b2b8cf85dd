"""The training loop: resumable at any moment, bit for bit; what it learns is told as it runs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
from jax.sharding import Mesh
from jaxtyping import PRNGKeyArray

from kshot.core.errors import DivergedError, OptionError, TaskError
from kshot.core.manifest import Manifest
from kshot.meta import checks
from kshot.meta.algorithms.base import MetaAlgorithm, State
from kshot.meta.checkpoint import Checkpoints, latest
from kshot.meta.device_loop import Call, Program, device_calls, steps_that_fit
from kshot.meta.evaluate.gap import Gap, meta_gap
from kshot.meta.fingerprint import check_same_run, run_fingerprint
from kshot.meta.history import History, Tally
from kshot.meta.metrics import KIND, MetricsFile, Sink, TensorBoard
from kshot.meta.plan import memory_note
from kshot.meta.progress import Reporter, Show, reporter
from kshot.meta.sharding import check_divisible, mesh_for, replicate
from kshot.meta.stream import TaskStream, as_stream
from kshot.meta.task import Task


class Report(NamedTuple):
    """What a callback is given after each row of metrics.

    Args:
        step: outer steps taken.
        steps: outer steps there will be.
        values: loss, grad_norm, skipped, and the gap where it was measured.
        state: the state; valid only during the call, so copy what you keep of it.
    """

    step: int
    steps: int
    values: Mapping[str, float]
    state: State


Callback = Callable[[Report], bool | None]


class TrainResult(NamedTuple):
    """The state after the last step, and the history of this call."""

    state: State
    history: History


@dataclass(frozen=True)
class Schedule:
    """When training stops to look at itself; every number is one of outer steps."""

    steps: int
    log_every: int
    checkpoint_every: int
    validate_every: int
    patience: int

    def __post_init__(self) -> None:
        """Refuse anything below one."""
        for name, value in vars(self).items():
            at_least_one(name, value)

    def next_stop(self, step: int) -> int:
        """Return the next step at which there is something to do for the host."""
        every = (self.log_every, self.checkpoint_every, self.validate_every)
        return min(self.steps, *((step // n + 1) * n for n in every))

    def due(self, step: int, every: int) -> bool:
        """Whether something done every so many steps, and at the end, is due."""
        return step % every == 0 or step == self.steps


def at_least_one(name: str, value: int) -> None:
    """Raise OptionError unless a number of outer steps is one or more."""
    if not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} ≥ 1", repr(value), "It counts outer steps.")


def train(
    algorithm: MetaAlgorithm,
    state: State,
    tasks: TaskStream | Task | Callable[[PRNGKeyArray], Task],
    steps: int,
    *,
    seed: int = 0,
    steps_per_call: int | None = None,
    log_every: int = 100,
    metrics: str | Path | None = None,
    tensorboard: str | Path | None = None,
    checkpoints: str | Path | None = None,
    checkpoint_every: int = 1000,
    validation: Task | None = None,
    validate_every: int = 1000,
    patience: int = 100,
    callbacks: Sequence[Callback] = (),
    progress: Show = "auto",
    mesh: Mesh | None = None,
) -> TrainResult:
    """Take outer steps until ``steps`` have been taken since initialisation.

    With ``checkpoints``, the same call resumes where an earlier one was killed, and ends with the
    same bits as if nothing had happened (on the same device and versions). Clip gradients in the
    algorithm's ``outer``: ``optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))``.

    Args:
        algorithm: what takes the steps.
        state: where to start; ``algorithm.init(params)``, or the result of a shorter training.
        tasks: a stream; a stack of tasks, all used at every step; or a traceable ``key -> Task``.
        steps: the outer step at which training ends, counted from ``init``.
        seed: of the task stream.
        steps_per_call: most outer steps in one device call; by default up to 1,000. A call takes
            fewer where they would last longer than about a second.
        log_every: steps from row to row of the metrics.
        metrics: a JSONL file, see `kshot.meta.metrics`.
        tensorboard: a log directory; needs ``kshot[tensorboard]``.
        checkpoints: a directory; the last three are kept.
        checkpoint_every: steps from checkpoint to checkpoint; there is one at the end, too.
        validation: a stack of tasks that the stream never draws. The loss after adaptation on them
            and on training tasks is recorded: their difference is the meta-overfitting gap.
        validate_every: steps from one such measurement to the next; there is one at the end, too.
        patience: give up, once a call is over, after so many steps without one finite task.
        callbacks: called after each row of metrics, in every process; one that returns True ends
            the training.
        progress: ``"bar"``, ``"lines"``, ``"none"``; ``"auto"`` is a bar in a terminal, else lines.
        mesh: the devices to spread tasks over, see `kshot.meta.task_mesh`; by default all
            that divide the tasks evenly.

    Raises:
        OptionError: an option out of range, or nothing left to do for this state.
        TaskError: tasks that cannot be used.
        CheckpointError: the checkpoints belong to a different run, or none can be read.
        DivergedError: ``patience`` is exhausted; the state is in the last checkpoint.
    """
    schedule = Schedule(steps, log_every, checkpoint_every, validate_every, patience)
    if not (metrics or tensorboard or callbacks):  # nobody reads the rows between
        schedule = dataclasses.replace(schedule, log_every=steps)
    with contextlib.ExitStack() as stack:
        # whatever takes long, from importing Orbax on, happens under the eyes of the user.
        screen = _screen(progress, steps)
        stack.callback(screen.close)
        stream = as_stream(tasks)
        identity = run_fingerprint(algorithm, stream, seed, state)
        folder = None if checkpoints is None else Path(checkpoints)
        state, step, notes = _resumed(state, folder, identity, steps)
        program = _program(algorithm, stream, seed, step, steps_per_call, mesh)
        gap = None if validation is None else _gap_meter(program, validation)
        config = {name: identity[name] for name in ("algorithm", "tasks")} | vars(schedule)
        sinks = _sinks(metrics, tensorboard, Manifest(KIND, config, seed), step, notes)
        for sink in sinks:
            stack.callback(sink.close)
        book = stack.enter_context(Checkpoints(folder, identity)) if folder else None
        if progress != "none":
            notes = notes + memory_note(algorithm, state, stream.at(seed, step))
        for note in notes:
            screen.note(note)
        screen.begin(step)
        run = _Run(schedule, Tally(step), screen, sinks, book, gap, callbacks)
        state = run.follow(device_calls(program, state, step, schedule.next_stop), state)
    return TrainResult(state, run.tally.history())


@dataclass
class _Run:
    """What the host does between device calls."""

    schedule: Schedule
    tally: Tally
    screen: Reporter
    sinks: Sequence[Sink]
    book: Checkpoints | None
    gap: Callable[[State], Gap] | None
    callbacks: Sequence[Callback]

    def follow(self, calls: Iterable[Call], state: State) -> State:
        """Watch the calls to the end; return the last state (the first, if there is no call)."""
        for step, state, told in calls:
            self.tally.add(told)
            self.screen.update(step, self.tally.latest_loss, self.tally.skipped)
            if self.tally.lost_in_a_row >= self.schedule.patience:
                raise self._diverged(step, state)
            if step == self.schedule.next_stop(step - 1) and self._stop(step, state):
                break
        return state

    def _stop(self, step: int, state: State) -> bool:
        """Do what is due at a stop; return whether a callback ends the training."""
        due = self.gap is not None and self.schedule.due(step, self.schedule.validate_every)
        row = self.tally.row(step, self.gap(state) if self.gap and due else None)
        for sink in self.sinks:
            sink.write(row)
        if self.schedule.due(step, self.schedule.checkpoint_every):
            self._save(step, state)
        report = Report(step, self.schedule.steps, row.values, state)
        answers = [callback(report) for callback in self.callbacks]
        if ends := any(answers):
            self._save(step, state)
        return ends

    def _save(self, step: int, state: State) -> None:
        if self.book is not None:
            self.book.save(step, state)

    def _diverged(self, step: int, state: State) -> DivergedError:
        self._save(step, state)
        saved = "saved" if self.book else "lost: give train(checkpoints=…) to keep it"
        return DivergedError(
            f"expected finite meta-gradients; got none from any task in the last "
            f"{self.tally.lost_in_a_row} outer steps, up to step {step}. Lower the inner or outer "
            "rate, take fewer inner steps, clip the outer gradient, or look at the tasks' data. "
            f"The state before them is {saved}."
        )


def _resumed(
    state: State, folder: Path | None, identity: dict, steps: int
) -> tuple[State, int, list[str]]:
    """Return the state to go on from, its step, and what the user should know about that."""
    found = None if folder is None else latest(folder, state)
    if found is None:
        if (step := int(state.step)) >= steps:
            todo = "steps counts from init: ask for more than the state has taken."
            raise OptionError(f"steps beyond the {step} already taken", str(steps), todo)
        return state, step, []
    check_same_run(found.fingerprint, found.state, identity)
    notes = [f"resumed from the checkpoint of step {found.step} in {folder}"]
    if found.set_aside:
        bad = ", ".join(str(step) for step in found.set_aside)
        notes.append(f"newer checkpoints could not be read and were set aside: step {bad}")
    return found.state, found.step, notes


def _sinks(
    metrics: str | Path | None,
    tensorboard: str | Path | None,
    manifest: Manifest,
    start: int,
    notes: Sequence[str],
) -> list[Sink]:
    """Open where rows go; only the first process writes."""
    sinks: list[Sink] = []
    if jax.process_index() > 0:
        return sinks
    if metrics is not None:
        file = MetricsFile(Path(metrics), manifest, start)
        for note in notes:
            file.note(start, note)
        sinks.append(file)
    if tensorboard is not None:
        sinks.append(TensorBoard(Path(tensorboard), start))
    return sinks


def _screen(progress: Show, steps: int) -> Reporter:
    return reporter(progress if jax.process_index() == 0 else "none", steps)


def _program(
    algorithm: MetaAlgorithm,
    stream: TaskStream,
    seed: int,
    step: int,
    steps_per_call: int | None,
    mesh: Mesh | None,
) -> Program:
    """Look at the first tasks before anything is compiled, and settle what depends on them."""
    first = stream.at(seed, step)
    checks.tasks(first, needs_query=False)
    checks.values(first)
    count = jax.tree.leaves(first)[0].shape[0]
    mesh = mesh_for(count) if mesh is None else check_divisible(count, mesh)
    if steps_per_call is None:
        steps_per_call = steps_that_fit(stream, first, seed, step)
    at_least_one("steps_per_call", steps_per_call)
    return Program(algorithm, stream, jax.random.key(seed), seed, steps_per_call, mesh)


def _gap_meter(program: Program, new: Task) -> Callable[[State], Gap]:
    """Return ``state -> Gap`` on as many training tasks as there are new ones."""
    checks.tasks(new, needs_query=True)
    trained = program.stream.examples(program.seed, jax.tree.leaves(new)[0].shape[0])
    if trained.query is None:
        todo = "Give the training tasks query sets, or leave validation= out."
        raise TaskError("training tasks with query sets, to compare with new ones", "none", todo)
    if program.mesh is not None:
        trained, new = replicate(trained, program.mesh), replicate(new, program.mesh)
    return lambda state: meta_gap(program.algorithm, state, trained, new)

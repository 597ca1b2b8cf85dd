"""Run what a study asks and has no result for yet; a killed study loses at most one draw."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from kshot.atoms import Labelled
from kshot.atoms.files import read_labelled
from kshot.pipeline.config import ConfigError, StudyConfig, TrainConfig, load_config
from kshot.pipeline.draws import draw_all, jobs_of, label_frames
from kshot.pipeline.families import chosen
from kshot.pipeline.study.beside import beside
from kshot.pipeline.study.closed import closed_form
from kshot.pipeline.study.frames import Draw, Pool, draws_of, pool_of
from kshot.pipeline.study.jobs import Job, Row
from kshot.pipeline.study.store import Key, Record, Store, key_of, labelled_rows, libraries
from kshot.potentials.model import Model
from kshot.potentials.model_file import load
from kshot.potentials.model_starts import start_path

Say = Callable[[str], None]


class Setting(NamedTuple):
    """What a study asks.

    Args:
        shots: numbers of labels.
        draws: how many choices of shots.
        test: frames of a test set at most.
    """

    shots: tuple[int, ...] = (5, 10, 20, 50)
    draws: int = 5
    test: int = 40


class Study(NamedTuple):
    """What a study has: rows that answer what is asked, and older ones that do not.

    Args:
        rows: of the frames, start, options and code of now; each names family and draw.
        old: of other ones, where they are kept; never to be mixed with the rows.
    """

    rows: list[Row]
    old: list[Row]


class _Task(NamedTuple):
    """One draw for one job."""

    job: Job
    draw: Draw
    shots: tuple[int, ...]
    key: Key


def load_study(config: StudyConfig) -> tuple[list[Pool], Setting, list[Job]]:
    """Return the families, the setting, and the contestants that a configuration names.

    Raises:
        ConfigError: it names neither a training configuration nor frames, or both.
        TaskError: frames that no study can be made of, see `pool_of`.
    """
    if (config.training is None) == (not config.frames):
        todo = "See `kshot template study`."
        raise ConfigError("either training or frames", "both or neither", todo)
    start = load(start_path(config.start))
    if config.training is not None:
        frames = held_out_frames(load_config(config.training))
    else:
        frames = {name: list(read_labelled(path)) for name, path in config.frames.items()}
    pools = [pool_of(name, part, config.test) for name, part in frames.items()]
    ledger = config.folder / "labels.ledger"
    jobs = [closed_job(start), *(beside(engine, start, ledger) for engine in config.beside)]
    return pools, Setting(config.shots, config.draws, config.test), jobs


def closed_job(start: Model) -> Job:
    """Return the closed-form contestants as a job."""
    return Job("closed", start, closed_form)


def held_out_frames(config: TrainConfig) -> dict[str, list[Labelled]]:
    """Return the labelled held-out configurations by family, drawn and labelled if need be."""
    data = config.data
    families = chosen(config.families).held_out
    draws = [draw.draw() for draw in data.held_out_draws or data.draws]
    drawn = draw_all(
        jobs_of(families, draws, data.engine, config.seed, data.folder / "frames"), data.workers
    )
    labelled, _ = label_frames(
        drawn.frames, data.engine, data.folder / "labels.ledger", data.workers
    )
    return by_family(labelled)


def by_family(labelled: Iterable[Labelled]) -> dict[str, list[Labelled]]:
    """Return frames by the name of their family."""
    families: dict[str, list[Labelled]] = {}
    for frame in labelled:
        families.setdefault(frame.structure.family, []).append(frame)
    return families


def run_study(
    pools: Sequence[Pool],
    setting: Setting,
    jobs: Sequence[Job],
    folder: Path,
    say: Say,
    *,
    keep_old: bool = False,
    only: Sequence[str] | None = None,
) -> Study:
    """Run what has no result yet, and return all that is there.

    A result whose frames, start, code or options are not those of now is set aside, told of, and
    computed anew.

    Args:
        pools: frames by family.
        setting: what is asked.
        jobs: the contestants.
        folder: of the results, a file for each job and family.
        say: what lines of progress are given to.
        keep_old: leave results of other code or frames where they are, and return them, instead of
            computing them anew.
        only: run these jobs only; None runs all, and nothing runs none.

    Raises:
        TaskError: more shots than a family has frames.
        DataError: a file of results that cannot be read.
    """
    store = Store(folder)
    tasks = _tasks(pools, setting, jobs)
    pending = []
    for task in tasks:
        if only is not None and task.job.name not in only:
            continue
        if (record := _record(store, task)) is not None and record.key != task.key:
            if keep_old:
                continue
            _set_aside(store, task, record, say)
            record = None
        if record is None:
            pending.append(task)
    _run(store, pending, say)
    study = _collected(store, tasks)
    return study if keep_old else study._replace(old=[])


def _tasks(pools: Sequence[Pool], setting: Setting, jobs: Sequence[Job]) -> list[_Task]:
    """Return all that a study consists of, job by job; refuse before anything is computed."""
    draws = {pool.family: draws_of(pool, setting.shots, setting.draws) for pool in pools}
    tasks = []
    for job in jobs:
        shots = tuple(k for k in setting.shots if job.shots is None or k in job.shots)
        for family in draws.values() if shots else ():
            for draw in family[: job.draws]:
                tasks.append(_Task(job, draw, shots, key_of(job, draw, shots)))
    return tasks


def _record(store: Store, task: _Task) -> Record | None:
    records = store.read(task.job.name, task.draw.family)
    return next((record for record in records if record.draw == task.draw.number), None)


def _set_aside(store: Store, task: _Task, record: Record, say: Say) -> None:
    path = store.set_aside(task.job.name, task.draw.family, [record.draw])
    what = ", ".join(task.key.differs(record.key))
    say(
        f"{task.job.name} {task.draw.family}, draw {record.draw}: {what} changed since it was run; "
        f"set aside as {path}, computed anew"
    )


def _run(store: Store, tasks: Sequence[_Task], say: Say) -> None:
    begun = time.perf_counter()
    for count, task in enumerate(tasks, 1):
        job, draw = task.job, task.draw
        now = time.perf_counter()
        rows = job.run(job.model, draw, task.shots)
        seconds = time.perf_counter() - now
        record = Record(draw.number, task.key, round(seconds, 1), draw.shares, libraries(), rows)
        store.add(job.name, draw.family, record)
        left = (time.perf_counter() - begun) / count * (len(tasks) - count)
        done = f"{count}/{len(tasks)}"
        say(
            f"{done} {job.name} {draw.family}, draw {draw.number}: {seconds:.0f} s; "
            f"{left / 60:.0f} min left"
        )


def _collected(store: Store, tasks: Sequence[_Task]) -> Study:
    study = Study([], [])
    for task in tasks:
        if (record := _record(store, task)) is not None:
            rows = labelled_rows(task.draw.family, record)
            (study.rows if record.key == task.key else study.old).extend(rows)
    return study

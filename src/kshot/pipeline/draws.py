"""Configurations of many families: drawn once, kept in files, labelled once, kept in a ledger.

Run again, it goes on where it ended; nothing drawn or labelled is paid for twice.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from kshot.atoms import Failure, Labelled, Structure
from kshot.atoms.elements import symbol
from kshot.families.family import Family, Member


class Draw(NamedTuple):
    """One way to draw configurations of every member.

    Args:
        sampler: a name of `kshot.families.samplers.samplers`, or ``"auto"``.
        temperature: in K.
        n: configurations of each member.
        isotopes: element → isotope, such as ``{"H": "D"}``; members without the element are left
            out.
        strata: only families of these; all if empty.
        without: no families of these strata.
        most_atoms: no members with more.
        members: only members of these names; all if empty.
    """

    sampler: str
    temperature: float
    n: int
    isotopes: Mapping[str, str] = {}
    strata: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    most_atoms: int | None = None
    members: tuple[str, ...] = ()

    def concerns(self, family: Family, member: Member) -> bool:
        """Whether it draws a member."""
        here = {symbol(int(number)) for number in member.structure.numbers}
        return (
            set(self.isotopes) <= here
            and (not self.strata or family.stratum in self.strata)
            and family.stratum not in self.without
            and (not self.members or member.name in self.members)
            and (self.most_atoms is None or len(member.structure) <= self.most_atoms)
        )


class Job(NamedTuple):
    """One member drawn one way, with the engine that drives it, into a folder."""

    family: Family
    member: Member
    draw: Draw
    engine: str
    seed: int
    folder: Path


class Drawn(NamedTuple):
    """What came of the draws.

    Args:
        frames: of all members, in the order of the jobs.
        failed: ``family/member, sampler temperature: why``, one each.
    """

    frames: list[Structure]
    failed: list[str]


def jobs_of(
    families: Iterable[Family], draws: Sequence[Draw], engine: str, seed: int, folder: Path
) -> list[Job]:
    """Return every member with every draw that concerns it."""
    return [
        Job(family, member, draw, engine, seed, folder)
        for family in families
        for member in family.members
        if member.usable(engine)
        for draw in draws
        if draw.concerns(family, member)
    ]


def draw_all(jobs: Sequence[Job], workers: int | None = None) -> Drawn:
    """Draw them all, in processes of their own.

    Args:
        jobs: see `jobs_of`.
        workers: how many processes; the machine's cores if None.
    """
    from kshot.core.bars import bar

    results: dict[int, list[Structure] | Failure] = {}
    # spawned, not forked: a fork of a process in which JAX has threads may hang.
    pool = ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn"))
    with pool, bar("drawing", len(jobs)) as advance:
        waiting = {pool.submit(draw_one, job): place for place, job in enumerate(jobs)}
        lost = 0
        for done in as_completed(waiting):
            found = results[waiting[done]] = done.result()
            lost += isinstance(found, Failure)
            advance(1, f"{lost} failed" if lost else "")
    frames, failed = [], []
    for place, job in enumerate(jobs):
        found = results[place]
        if isinstance(found, Failure):
            way = f"{job.draw.sampler} at {job.draw.temperature:g} K"
            failed.append(f"{job.family.name}/{job.member.name}, {way}: {found.detail}")
        else:
            frames += found
    return Drawn(frames, failed)


def draw_one(job: Job) -> list[Structure] | Failure:
    """Draw one member one way, or read what was drawn before."""
    os.environ["OMP_NUM_THREADS"] = "1"  # as many processes as cores share them already
    from kshot.families.catalogue.draw import AUTO, draw
    from kshot.families.samplers import with_isotopes
    from kshot.labelers import labeler

    member, folder = job.member, job.folder
    if job.draw.isotopes:
        # an isotope changes no key of a structure, so its frames have a folder of their own.
        folder = folder / "-".join(sorted(job.draw.isotopes.values()))
        structure = with_isotopes(member.structure, job.draw.isotopes)
        member = dataclasses.replace(member, structure=structure)
    engine = None if job.draw.sampler == AUTO else labeler(job.engine)
    return draw(
        job.family,
        member,
        job.draw.n,
        labeler=engine,
        sampler=job.draw.sampler,
        temperature=job.draw.temperature,
        seed=job.seed,
        folder=folder,
    )


def label_frames(
    frames: Sequence[Structure], engine: str, ledger: Path, workers: int | None = None
) -> tuple[list[Labelled], int]:
    """Return the frames whose labels did not fail, and how many failed.

    Args:
        frames: what to label.
        engine: name of the engine, as `kshot.labelers.labeler` takes it.
        ledger: the file of labels.
        workers: processes; the machine's cores if None.
    """
    from kshot.labelers import Ledger, executors, label_all, labeler

    path = Path(ledger)
    path.parent.mkdir(parents=True, exist_ok=True)
    with Ledger(path) as book:
        pool = executors.Pool(workers or os.cpu_count() or 1)
        results = label_all(frames, labeler(engine), book, pool)
    good = [
        Labelled(frame, result)
        for frame, result in zip(frames, results, strict=True)
        if not isinstance(result, Failure)
    ]
    return good, len(frames) - len(good)

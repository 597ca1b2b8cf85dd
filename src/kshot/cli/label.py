"""``kshot label``: labels for a file of structures, each paid for once."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from kshot.cli.options import Charge, Force, Spin, reading, tell
from kshot.core.errors import InputError

if TYPE_CHECKING:
    from kshot.atoms import Failure, Labeler, Labels, Structure
    from kshot.atoms.labels import Reason
    from kshot.labelers.executors import Executor

NOTHING_LABELLED = 1
TOLD = 10  # failures told one by one


class Place(StrEnum):
    """Where engines run."""

    local = "local"
    pool = "pool"
    dask = "dask"


def label(
    file: Annotated[Path, typer.Argument(metavar="IN.extxyz", help="Structures to label.")],
    engine: Annotated[
        str, typer.Option(help="gfn2, gfn1, pyscf:METHOD/BASIS, ase:MODULE:Class, replay:FILE.")
    ] = "gfn2",
    ledger: Annotated[Path, typer.Option(help="The ledger; made if need be.")] = Path("ledger.db"),
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Labelled frames.")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Of the engine.")
    ] = None,
    executor: Annotated[Place, typer.Option(help="Where engines run.")] = Place.local,
    workers: Annotated[int | None, typer.Option(help="Processes of pool and dask.")] = None,
    threads: Annotated[int, typer.Option(help="Threads of each engine in them.")] = 1,
    scheduler: Annotated[
        str, typer.Option(help="Of dask: an address, or slurm or pbs (see Dask's jobqueue.yaml).")
    ] = "",
    seconds: Annotated[float | None, typer.Option(help="Time limit of one label.")] = None,
    memory: Annotated[float | None, typer.Option(help="Memory limit of an engine, MiB.")] = None,
    retry: Annotated[
        list[str] | None,
        typer.Option(help="Run stored failures of this reason again; 'all' for every one."),
    ] = None,
    spot_check: Annotated[
        float, typer.Option(help="Share of labels whose forces are checked by differences.")
    ] = 0.0,
    charge: Charge = None,
    spin: Spin = None,
    force: Force = False,
) -> None:
    """Label every structure of a file; ask the engine only for what the ledger lacks.

    Ctrl-C, crashes and power cuts lose nothing that was finished: the same command goes on.
    """
    from kshot.atoms.files import scan
    from kshot.atoms.species import Tally
    from kshot.core.outputs import claim_outputs
    from kshot.labelers import Isolated, Ledger, SpotChecked, label_all, labeler

    if output is not None:
        claim_outputs([output], inputs=[file, ledger], force=force)
    reasons = _reasons(retry or [])
    maker: Labeler = labeler(engine, **_parse(settings or []))
    tally = Tally()
    frames = list(tally.watch(scan(file, reading(charge, spin))))
    tell(tally.lines())
    structures = [frame.require_structure() for frame in frames]
    if spot_check:
        maker = SpotChecked(maker, share=spot_check)
    if executor is not Place.pool and (seconds is not None or memory is not None):
        maker = Isolated(maker, seconds=seconds, memory_mb=memory, threads=threads)
    place = _place(executor, workers, threads, scheduler, seconds, memory)
    with Ledger(ledger) as book:
        results = label_all(structures, maker, book, place, retry=reasons)
    _report(file, structures, results, output)


def _report(
    file: Path,
    structures: list[Structure],
    results: list[Labels | Failure],
    output: Path | None,
) -> None:
    from kshot.atoms import Failure, Labelled
    from kshot.atoms.files import write

    failures = [(n, found) for n, found in enumerate(results) if isinstance(found, Failure)]
    for number, failure in failures[:TOLD]:
        said = f"{file}, frame {number}: {failure.reason}: {failure.detail}"
        typer.secho(said, err=True, fg="yellow")
    if len(failures) > TOLD:
        typer.secho(f"… and {len(failures) - TOLD} more; see kshot ledger show", err=True)
    good = [
        Labelled(structure, found)
        for structure, found in zip(structures, results, strict=True)
        if not isinstance(found, Failure)
    ]
    if output is not None:
        write(output, good)
    where = f" in {output}" if output is not None else ""
    typer.echo(f"{len(good)} labels{where}, {len(failures)} failures")
    if structures and not good:
        raise typer.Exit(NOTHING_LABELLED)


def _place(
    executor: Place,
    workers: int | None,
    threads: int,
    scheduler: str,
    seconds: float | None,
    memory: float | None,
) -> Executor:
    from kshot.labelers.executors import Dask, Local, Pool, jobs

    if executor is Place.local:
        return Local()
    if executor is Place.pool:
        return Pool(workers, threads=threads, seconds=seconds, memory_mb=memory)
    if scheduler in ("slurm", "pbs"):
        return Dask(jobs(scheduler, workers or 1, threads=threads))
    return Dask(scheduler or None, workers=workers, threads=threads)


def _reasons(given: list[str]) -> tuple[Reason, ...]:
    from kshot.atoms.labels import Reason

    known: tuple[Any, ...] = get_args(Reason)
    if "all" in given:
        return known
    for reason in given:
        if reason not in known:
            raise InputError(
                f"a reason of {', '.join(known)}, or all", repr(reason), "Quote those of two words."
            )
    return tuple(reason for reason in known if reason in given)


def _parse(settings: list[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs; a value is JSON where it can be, else text."""
    parsed = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not (name.isidentifier() and equals):
            raise InputError("NAME=VALUE", repr(setting), "For example: --set solvent=water")
        try:
            parsed[name] = json.loads(text)
        except json.JSONDecodeError:
            parsed[name] = text
    return parsed

"""``kshot adapt``: K labels → a potential."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kshot.cli.options import Charge, Force, Spin, tell

if TYPE_CHECKING:
    from kshot.pipeline.adapt import Done

MEV = 1e3


def adapt(
    start: Annotated[str, typer.Argument(help="A .kshot file, or the name of a shipped start.")],
    input: Annotated[  # noqa: A002 - the word users see
        Path, typer.Argument(help="Labelled frames (all of them are the K), or a structure.")
    ],
    output: Annotated[Path, typer.Option("-o", "--output", help="The adapted file.")],
    budget: Annotated[
        int | None, typer.Option(help="Labels to pay for, failures included.")
    ] = None,
    engine: Annotated[str, typer.Option(help="What labels; see `kshot label --help`.")] = "gfn2",
    temperature: Annotated[float, typer.Option(help="Of the configurations, in K.")] = 300.0,
    method: Annotated[
        list[str] | None, typer.Option(help="Only this one; chosen inside the K if none is given.")
    ] = None,
    thorough: Annotated[
        bool, typer.Option(help="Let fine-tuning compete too, which takes minutes.")
    ] = False,
    keep: Annotated[
        float, typer.Option(help="How strongly other chemistry is held; 0 lets it be forgotten.")
    ] = 1.0,
    seed: Annotated[int, typer.Option()] = 0,
    whole: Annotated[bool, typer.Option(help="Write all parameters, not what differs.")] = False,
    allow: Annotated[
        list[str] | None,
        typer.Option(help="Let through: charges, multiplicities, elements; mixed levels; units."),
    ] = None,
    charge: Charge = None,
    spin: Spin = None,
    memory: Annotated[
        float, typer.Option(help="GB of derivatives held at once; the rest is computed again.")
    ] = 2.5,
    report: Annotated[Path | None, typer.Option(help="Write a page with plots.")] = None,
    workers: Annotated[int | None, typer.Option(help="Engines at once; all cores if none.")] = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Adapt a start to K labels, by the method that does best inside them."""
    from kshot.atoms.spin import Stated
    from kshot.core.cache import use_compile_cache
    from kshot.core.outputs import claim_outputs
    from kshot.fewshot.adapters import named
    from kshot.fewshot.jacobian import GB
    from kshot.pipeline.adapt import adapt_file, needed
    from kshot.pipeline.request import Request

    use_compile_cache()
    if method:
        named(method)  # or it is refused
    request = Request(
        start,
        input,
        output,
        budget=budget,
        engine=engine,
        temperature=temperature,
        methods=tuple(method or ()),
        thorough=thorough,
        keep=keep,
        seed=seed,
        whole=whole,
        allow=tuple(allow or ()),
        workers=workers,
        force=force,
        stated=Stated(charge, spin),
        memory=memory * GB,
    )
    others = (*needed(request), output, request.labels)
    claim_outputs([report] if report is not None else [], inputs=others, force=force)
    done = adapt_file(request, say=lambda line: tell([line]))
    if report is not None:
        from kshot.pipeline.page import page_record
        from kshot.report import write

        write(report, page_record(done))
    if as_json:
        typer.echo(json.dumps(done.record, indent=1))
        return
    _tell(done, output)
    if report is not None:
        typer.echo(f"report in {report}")


def _tell(done: Done, output: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    from kshot.pipeline.levels import levels_sentence
    from kshot.pipeline.page import extrapolated, forgotten, sentence

    record = done.record
    title = "expected on new frames, RMSE; left-out frames in brackets"
    table = Table("method", "energy meV", "forces meV/Å", "", title=title)
    for candidate in record["candidates"]:
        alone = len(record["candidates"]) == 1
        marks = ["the only one tried" if alone else "chosen"] * candidate["chosen"]
        marks += ["plain baseline"] * candidate["baseline"]
        energies, forces = (
            [MEV * candidate[f"{kind}_{name}"] for kind in ("expected", "cv")]
            for name in ("energy_rmse_eV", "force_rmse_eV_per_A")
        )
        cells = ("{:.1f} ({:.1f})".format(*energies), "{:.0f} ({:.0f})".format(*forces))
        table.add_row(candidate["method"], *cells, ", ".join(marks))
    Console().print(table)
    for line in (
        sentence(record),
        levels_sentence(record),
        *extrapolated(record),
        *forgotten(record),
    ):
        typer.echo(line)
    for note in record["notes"]:
        typer.echo(f"note: {note}")
    typer.echo(f"{record['seconds']:.0f} s; adapted model in {output}")

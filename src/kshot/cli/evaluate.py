"""``kshot eval`` and ``kshot crossval``: how good a model is, and how good adaptation is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from kshot.cli.options import Charge, Spin, reading, tell

MEV = 1e3
STUDIES = (".yaml", ".yml")


def evaluate(
    what: Annotated[
        str, typer.Argument(help="A .kshot file, a shipped start, or a study's CONFIG.yaml.")
    ],
    test: Annotated[
        Path | None, typer.Argument(help="Labelled frames that nothing was adapted on.")
    ] = None,
    allow: Annotated[
        list[str] | None, typer.Option(help="elements, charges, multiplicities or levels.")
    ] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="On top of a study's file.")
    ] = None,
    charge: Charge = None,
    spin: Spin = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how good a model is on labelled frames; or run a study of error against K.

    Nothing is fitted to test frames. A killed study goes on where it was; see `kshot template
    study`.
    """
    from kshot.core.cache import use_compile_cache
    from kshot.core.errors import InputError

    use_compile_cache()
    if what.endswith(STUDIES) and test is None:
        _study(Path(what), tuple(changes or ()), as_json=as_json)
        return
    if test is None:
        todo = "Give labelled frames: kshot eval ADAPTED TEST.extxyz; or a study's CONFIG.yaml."
        raise InputError("labelled frames to judge on", "none", todo)
    from kshot.atoms.files import scan
    from kshot.atoms.species import Tally
    from kshot.pipeline.evaluate import evaluate as judge
    from kshot.potentials.model_file import load
    from kshot.potentials.model_starts import start_path

    tally = Tally()
    frames = list(tally.watch(scan(test, reading(charge, spin))))
    tell(tally.lines())
    labelled = [frame.require_labelled() for frame in frames]
    found = judge(load(start_path(what)), labelled, allow=tuple(allow or ()))
    for warning in found.warnings:
        typer.secho(f"warning: {warning}", err=True, fg="yellow")
    if as_json:
        typer.echo(json.dumps(found.to_dict(), indent=1))
        return
    typer.echo(
        f"{found.frames} frames: energy {MEV * found.energy_rmse_eV:.1f} meV "
        f"({found.energy_rmse_kcal_per_mol:.2f} kcal/mol), forces "
        f"{MEV * found.force_rmse_eV_per_A:.1f} meV/Å, cosine {found.force_cosine:.4f} (RMSE; "
        "no shift fitted to these frames)"
    )


def crossval(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Of `kshot train`.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The folder of all results.")],
    by: Annotated[
        str, typer.Option(help="What is left out at once: family or stratum.")
    ] = "family",
    only: Annotated[
        list[str] | None, typer.Option(help="Leave out only these families or strata.")
    ] = None,
    shots: Annotated[list[int] | None, typer.Option(help="K; 5 and 10 if none is given.")] = None,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="On top of the file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Train once without each family (or stratum), and adapt to it: what a new one would cost.

    Every fold is a training of its own. A killed run goes on where it was.
    """
    from kshot.core.cache import use_compile_cache
    from kshot.pipeline.config import load_config
    from kshot.pipeline.crossval import cross_validate

    use_compile_cache()
    found = load_config(config, tuple(changes or ()))
    results = cross_validate(
        found, output, by=by, only=tuple(only or ()), shots=tuple(shots or (5, 10)), say=_to_stderr
    )
    if as_json:
        typer.echo(json.dumps(results, indent=1))
        return
    for one in results:
        typer.echo(
            f"{one['left_out']}, {one['family']}, K = {one['k']}, {one['test']}: "
            f"energy {MEV * one['energy']:.1f} meV, forces {MEV * one['forces']:.0f} meV/Å "
            f"({one['chose']}); zero-shot + shift {MEV * one['shift_energy']:.1f} and "
            f"{MEV * one['shift_forces']:.0f}"
        )


def _study(path: Path, changes: tuple[str, ...], *, as_json: bool) -> None:
    from kshot.pipeline.config import StudyConfig, load_config
    from kshot.pipeline.study import load_study, run_study
    from kshot.pipeline.study.tables import write_tables

    config = load_config(path, changes, StudyConfig)
    pools, setting, jobs = load_study(config)
    folder = config.folder / "results"
    study = run_study(pools, setting, jobs, folder, _to_stderr, keep_old=config.keep_old)
    write_tables(study, config.folder, f"Few-shot adaptation of {config.start}")
    if as_json:
        typer.echo(json.dumps(study.rows, indent=1))
        return
    typer.echo((config.folder / "results.md").read_text(encoding="utf-8"))


def _to_stderr(line: str) -> None:
    typer.echo(line, err=True)

"""``kshot ledger``: look into a ledger of labels, and move rows in and out."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kshot.cli.options import Force

if TYPE_CHECKING:
    from kshot.atoms import Fingerprint
    from kshot.labelers.ledger.transfer import Added

WRONG = 1

app = typer.Typer(
    help="Look into a ledger of labels, and move rows in and out.", no_args_is_help=True
)

File = Annotated[Path, typer.Argument(metavar="LEDGER", help="The ledger's file.")]
Level = Annotated[
    str, typer.Option(help="Level of theory: its method, or the start of its digest.")
]


@app.command()
def show(
    file: File,
    failures: Annotated[int, typer.Option(help="How many failures to list.")] = 0,
) -> None:
    """Say what a ledger holds: labels, failures and cost of each level of theory."""
    from kshot.atoms import Failure
    from kshot.labelers import Ledger
    from kshot.labelers.summary import summaries

    with Ledger(file, write=False) as ledger:
        for level in summaries(ledger):
            failed = ", ".join(f"{n} {reason}" for reason, n in level.failures.most_common())
            typer.echo(f"{level.fingerprint.digest}  {level.fingerprint}")
            typer.echo(f"  {level.good} labels of {level.atoms} atoms; failed: {failed or 'none'}")
            typer.echo(f"  {level.cost:.1f} CPU s, from {_day(level.first)} to {_day(level.last)}")
        wrong = (row for row in ledger.rows() if isinstance(row.result, Failure))
        for row, _ in zip(wrong, range(failures), strict=False):
            assert isinstance(row.result, Failure)
            name = row.structure.family or row.structure.key[:8]
            typer.echo(f"{name}: {row.result.reason}: {row.result.detail}")


@app.command()
def export(
    file: File,
    output: Annotated[Path, typer.Argument(metavar="OUT", help=".extxyz, .db or .h5")],
    level: Level = "",
    force: Force = False,
) -> None:
    """Write good labels of one level of theory to extxyz, an ASE database or HDF5."""
    from kshot.core.outputs import claim_outputs
    from kshot.labelers import Ledger
    from kshot.labelers.ledger import transfer

    claim_outputs([output], inputs=[file], force=force)
    with Ledger(file, write=False) as ledger:
        written = transfer.export(ledger, output, transfer.choose(ledger, level))
    typer.echo(f"{written} labels in {output}")


@app.command("import")
def import_(
    file: File,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A file of labelled frames.")],
    program: Annotated[str, typer.Option(help="Of frames that do not say theirs.")] = "",
    version: Annotated[str, typer.Option(help="Likewise.")] = "unknown",
    method: Annotated[str, typer.Option(help="Likewise.")] = "",
    basis: Annotated[str, typer.Option(help="Likewise.")] = "",
) -> None:
    """Add the labels of a file."""
    from kshot.labelers import Ledger
    from kshot.labelers.ledger import transfer

    stated = _stated(program, version, method, basis)
    with Ledger(file) as ledger:
        _told(source, transfer.import_file(ledger, source, stated))


@app.command()
def merge(
    file: File,
    others: Annotated[list[Path], typer.Argument(metavar="OTHER…", help="Ledgers to add.")],
) -> None:
    """Add the rows of other ledgers, which stay as they are."""
    from kshot.labelers import Ledger
    from kshot.labelers.ledger import transfer

    with Ledger(file) as ledger:
        for path in others:
            with Ledger(path, write=False) as other:
                _told(path, transfer.merge(ledger, other))


@app.command()
def verify(
    file: File,
    sample: Annotated[int, typer.Option(help="How many labels to compute again.")] = 10,
    seed: Annotated[int, typer.Option(help="Of the choice.")] = 0,
    level: Level = "",
    engine: Annotated[str, typer.Option(help="Engine to use; else the one on record.")] = "",
) -> None:
    """Compute a random sample of labels again and compare; status 1 if any differs."""
    from kshot.labelers import Ledger, labeler
    from kshot.labelers.known import engine_of
    from kshot.labelers.ledger import transfer, verify

    with Ledger(file, write=False) as ledger:
        chosen = transfer.choose(ledger, level)
        pick = engine_of if not engine else lambda _: labeler(engine)
        verdicts = verify.verify(ledger, pick, chosen, sample=sample, seed=seed)
    wrong = [verdict for verdict in verdicts if not verdict.holds]
    for verdict in wrong:
        name = f"{verdict.row.structure.key[:8]} ({verdict.row.fingerprint})"
        off = f"energy off by {verdict.energy:.2e} eV, forces by {verdict.force:.2e} eV/Å"
        typer.secho(f"{name}: {off}", err=True, fg="red")
    typer.echo(f"{len(verdicts) - len(wrong)} of {len(verdicts)} labels hold")
    if wrong:
        raise typer.Exit(WRONG)


def _stated(program: str, version: str, method: str, basis: str) -> Fingerprint | None:
    from kshot.atoms import Fingerprint

    if not (program and method):
        return None
    return Fingerprint(program, version, method, basis)


def _told(source: Path, added: Added) -> None:
    words = f"{source}: {added.new} new, {added.known} known"
    if added.different:
        words += f"; {added.different} of them differ from what is here, which was kept"
    typer.echo(words)


def _day(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M")

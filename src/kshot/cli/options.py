"""Options that mean the same in every verb."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kshot.atoms.reading import Reading

Force = Annotated[bool, typer.Option("--force", help="Replace outputs that are there.")]
Charge = Annotated[
    int | None, typer.Option(help="Of structures whose charge the file does not state; else 0.")
]
Spin = Annotated[
    int | None,
    typer.Option(
        min=1, help="Multiplicity 2S + 1 where the file states none; else 1, if electrons are even."
    ),
]


def reading(charge: int | None, spin: int | None) -> Reading:
    """Return how to read a file, with what the options state."""
    from kshot.atoms.reading import Reading
    from kshot.atoms.spin import Stated

    return Reading(stated=Stated(charge, spin))


def tell(lines: Iterable[str]) -> None:
    """Print what was read on standard error, where no program looks for results."""
    for line in lines:
        typer.echo(line, err=True)

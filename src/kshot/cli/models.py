"""``kshot models``: which networks there are, what they cost, and what a model file holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kshot.core.errors import OptionError

if TYPE_CHECKING:
    from rich.table import Table


app = typer.Typer(
    help="List networks and shipped starts; say what a model file holds.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_(
    only: Annotated[
        list[str] | None,
        typer.Argument(metavar="[ARCHITECTURE[:SIZE]]…", help="Such as mace, or nequip:tiny."),
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Measure the cost, up to a minute a size.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List networks by size with their parameters, and the shipped starts.

    With --measure also what they cost on this machine, for one molecule of 22 atoms in float32:
    milliseconds for energy and forces, and for a training gradient; seconds of compilation.
    """
    from kshot.core.bars import bar
    from kshot.core.cache import use_compile_cache
    from kshot.potentials import model_cost

    if measure:
        use_compile_cache()
    chosen = _chosen(only or [], model_cost.sizes())
    rows: list[dict[str, Any]] = [
        {"architecture": name, "size": size, "parameters": model_cost.PARAMETERS[name][size]}
        for name, size in chosen
    ]
    with bar("measuring", len(rows), show=measure) as advance:
        for row in rows if measure else ():
            name, size = row["architecture"], row["size"]
            row |= model_cost.measure(model_cost.named(name, size))._asdict()
            advance(words=f"{name} {size}")
    shipped = _starts()
    if as_json:
        typer.echo(json.dumps({"networks": rows, "starts": shipped}, indent=1))
        return
    _print(_networks(rows, measure=measure))
    _print(_shipped(shipped)) if shipped else typer.echo("no starts are shipped with this version")


@app.command()
def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A model file, or a shipped start.")],
    as_json: AsJson = False,
) -> None:
    """Say what a model file holds: network, what it has seen, where it comes from.

    A delta is described without its start.
    """
    from kshot.potentials.model_file import summary
    from kshot.potentials.model_starts import start_path

    found = summary(start_path(file))
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
        return
    for line in _lines("", found):
        typer.echo(line)


@app.command()
def card(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A model file, or a shipped start.")],
    study: Annotated[
        Path | None, typer.Option(help="The folder of a study of it: adds errors and limits.")
    ] = None,
) -> None:
    """Print the card of a start in Markdown: what it has seen, how well it does, where it ends."""
    from kshot.pipeline.card import card as card_of
    from kshot.pipeline.study.store import read_rows
    from kshot.potentials.model_file import summary
    from kshot.potentials.model_starts import start_path

    path = start_path(file)
    found = summary(path)
    rows = [] if study is None else read_rows(study / "results", found["digest"])
    typer.echo(card_of(path.stem, found, rows))


def _chosen(only: list[str], known: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the sizes asked for, or raise OptionError at what is none."""
    names = {name for name, _ in known} | {f"{name}:{size}" for name, size in known}
    if unknown := [one for one in only if one not in names]:
        todo = "Choose among them; kshot models list names all."
        architectures = ", ".join(dict.fromkeys(name for name, _ in known))
        raise OptionError(f"networks: {architectures}", ", ".join(unknown), todo)
    return [(n, s) for n, s in known if not only or n in only or f"{n}:{s}" in only]


def _starts() -> list[dict[str, Any]]:
    from kshot.potentials.model_file import summary
    from kshot.potentials.model_starts import starts

    found = []
    for name, path in starts().items():
        card = path.with_suffix(".md")
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        found.append({"name": name, "card": text, **summary(path)})
    return found


def _networks(rows: list[dict[str, Any]], *, measure: bool) -> Table:
    table = _table("networks (cost of 22 atoms)" if measure else "networks")
    figures = {"energy_ms": "energy + forces (ms)", "gradient_ms": "gradient (ms)"}
    figures["compile_s"] = "compiling (s)"
    for title in ("architecture", "size", "parameters", *(figures.values() if measure else ())):
        table.add_column(title, justify="left" if title in {"architecture", "size"} else "right")
    for row in rows:
        cost = [f"{row[name]:.1f}" for name in figures] if measure else []
        table.add_row(row["architecture"], row["size"], f"{row['parameters']:,}", *cost)
    return table


def _shipped(shipped: list[dict[str, Any]]) -> Table:
    table = _table("shipped starts")
    for title in ("name", "network", "parameters", "elements", "level", "MB"):
        table.add_column(title)
    for one in shipped:
        level = one["seen"]["levels"][-1] if one["seen"]["levels"] else ""
        elements = " ".join(one["seen"]["elements"])
        count, size = f"{one['parameters']:,}", f"{one['bytes'] / 1e6:.1f}"
        table.add_row(one["name"], one["potential"], count, elements, level, size)
    return table


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)


def _print(table: Table) -> None:
    from rich.console import Console

    Console(soft_wrap=False, highlight=False).print(table, markup=False)


def _lines(name: str, value: Any) -> Iterator[str]:  # noqa: ANN401 - JSON
    """Yield a line for each value, under its dotted name."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _lines(f"{name}.{key}" if name else str(key), inner)
    elif isinstance(value, list):
        yield f"{name}: {', '.join(map(str, value)) or 'none'}"
    else:
        yield f"{name}: {'none' if value in ({}, None, '') else value}"

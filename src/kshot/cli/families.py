"""``kshot families``: what there is to learn from, and configurations of it with labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kshot.cli.options import Force

if TYPE_CHECKING:
    from kshot.atoms import Structure
    from kshot.families import Family, Member

app = typer.Typer(
    help="Families of molecules: list them, look at one, sample and label configurations.",
    no_args_is_help=True,
)

Strata = Annotated[list[str], typer.Option("--stratum", "-s", help="Only of this stratum.")]
Elements = Annotated[list[str], typer.Option("--element", "-e", help="Only with this element.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Data = Annotated[list[Path], typer.Option("--data", help="A data file of your own, too.")]


@app.command("list")
def list_(
    stratum: Strata = [],  # noqa: B006 - typer reads the list, nobody changes it
    element: Elements = [],  # noqa: B006
    data: Data = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """List the families of the catalogue."""
    found = _selected([], stratum, element, data)
    if as_json:
        typer.echo(json.dumps([_record(family) for family in found], indent=1))
        return
    from rich.table import Table

    from kshot.families import elements_of

    table = Table("family", "stratum", "members", "atoms", "charges", "elements", "gfn2")
    for family in found:
        sizes = [len(member.structure) for member in family.members]
        charges = sorted({member.structure.charge for member in family.members})
        table.add_row(
            family.name,
            family.stratum,
            " ".join(member.name for member in family.members),
            f"{min(sizes)}…{max(sizes)}" if min(sizes) < max(sizes) else str(sizes[0]),
            " ".join(f"{charge:+d}" if charge else "0" for charge in charges),
            " ".join(elements_of(family)),
            _marks(family),
        )
    _print(table)
    typer.echo(f"{len(found)} families, {sum(len(family.members) for family in found)} members")


@app.command()
def coverage(
    stratum: Strata = [],  # noqa: B006
    element: Elements = [],  # noqa: B006
    data: Data = [],  # noqa: B006
    labels: Annotated[
        Path | None, typer.Option(help="Labelled configurations (extxyz), for energy spreads.")
    ] = None,
) -> None:
    """Count elements, charges and sizes of the catalogue or a part of it, by stratum."""
    from kshot import families

    labelled = []
    if labels is not None:
        from kshot.atoms.files import read_labelled

        labelled = read_labelled(labels)
    found = families.coverage(_selected([], stratum, element, data), labelled)
    _print(families.coverage_table(found))
    typer.echo("members by element: " + ", ".join(f"{k} {n}" for k, n in found.by_element.items()))
    typer.echo("members by charge: " + ", ".join(f"{k:+d} {n}" for k, n in found.by_charge.items()))


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Of a family.")],
    xyz: Annotated[Path | None, typer.Option(help="Write its geometries here, in Å.")] = None,
    data: Data = [],  # noqa: B006
    as_json: Json = False,
    force: Force = False,
) -> None:
    """Show one family: its members, charge, multiplicity, and what engines do with them."""
    from kshot.atoms.species import formula

    family = _selected([name], [], [], data)[0]
    if xyz is not None:
        from kshot.atoms.files import write
        from kshot.core.outputs import claim_outputs

        claim_outputs([xyz], inputs=data, force=force)
        write(xyz, [_named(member) for member in family.members])
    if as_json:
        typer.echo(json.dumps(_record(family), indent=1))
        return
    tags = ", ".join(f"{kind}: {value}" for kind, value in family.tags.items())
    typer.echo(f"{family.name}  ({family.stratum}{'; ' + tags if tags else ''})")
    if family.note:
        typer.echo(family.note)
    for member in family.members:
        structure = member.structure
        typer.echo(
            f"\n{member.name}: {formula(structure.numbers)}, {len(structure)} atoms, "
            f"charge {structure.charge:+d}, multiplicity {structure.multiplicity}"
        )
        lines = {"SMILES": member.smiles, "note": member.note, **member.status}
        for kind, text in lines.items():
            if text:
                typer.echo(f"  {kind}: {text}")
    if xyz is not None:
        typer.echo(f"\ngeometries are in {xyz}")


@app.command()
def sample(
    name: Annotated[list[str] | None, typer.Argument(help="Of families.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="The whole catalogue.")] = False,
    stratum: Strata = [],  # noqa: B006
    element: Elements = [],  # noqa: B006
    data: Data = [],  # noqa: B006
    n: Annotated[int, typer.Option("-n", min=1, help="Configurations of each member.")] = 20,
    temperature: Annotated[float, typer.Option("-T", help="In K.")] = 300.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same frames.")] = 0,
    sampler: Annotated[
        str, typer.Option(help="auto: a force field's dynamics, or rattling; or a sampler's name.")
    ] = "auto",
    engine: Annotated[str, typer.Option(help="Gives the labels, and drives the sampler.")] = "gfn2",
    ledger: Annotated[Path, typer.Option(help="Keeps what is paid for.")] = Path("labels.ledger"),
    out: Annotated[Path, typer.Option("-o", help="extxyz, .db or .h5")] = Path("families.extxyz"),
    force: Force = False,
) -> None:
    """Draw configurations of families and label them; run it again to go on where it ended.

    Frames are kept in LEDGER.frames, labels in LEDGER; failures are written to OUT.failures.json.
    """
    from kshot.cli.families_sample import Request, failures_path, sample_and_label
    from kshot.core.errors import InputError
    from kshot.core.outputs import claim_outputs

    chosen = bool(name or stratum or element)
    if chosen == everything:
        got = "both" if chosen else "neither"
        raise InputError("either names, strata or elements, or --all", got, "Choose what to draw.")
    families = _selected(name or [], stratum, element, data)
    claim_outputs([out, failures_path(out)], inputs=[*data, ledger], force=force)
    request = Request(n, temperature, seed, sampler, engine, ledger, out)
    for line in sample_and_label(families, request):
        typer.echo(line)


def _selected(
    names: list[str], strata: list[str], elements: list[str], data: list[Path]
) -> tuple[Family, ...]:
    from kshot.families import load_catalogue, select

    return select(load_catalogue(*data), names=names, strata=strata, elements=elements)


def _named(member: Member) -> Structure:
    """Return its geometry with the member's name, as files keep it."""
    return member.structure.replace(info={"member": member.name})


def _marks(family: Family) -> str:
    from kshot.families.family import CONVERGES

    said = {member.status.get("gfn2", "not tried") for member in family.members}
    wrong = sorted(text.partition(":")[0] for text in said - {CONVERGES})
    return ", ".join(wrong) or CONVERGES


def _record(family: Family) -> dict[str, Any]:
    return {
        "name": family.name,
        "stratum": family.stratum,
        "tags": dict(family.tags),
        "note": family.note,
        "members": [_member_record(member) for member in family.members],
    }


def _member_record(member: Member) -> dict[str, Any]:
    from kshot.atoms.species import formula

    structure = member.structure
    return {
        "name": member.name,
        "smiles": member.smiles,
        "formula": formula(structure.numbers),
        "atoms": len(structure),
        "charge": structure.charge,
        "multiplicity": structure.multiplicity,
        "note": member.note,
        "status": dict(member.status),
    }


def _print(table: Any) -> None:  # noqa: ANN401
    from rich.console import Console

    # Piped, a table is as wide as it needs to be: nothing is cut.
    console = Console()
    if not console.is_terminal:
        console = Console(width=240)
    console.print(table)

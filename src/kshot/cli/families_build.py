"""``kshot families build``: a PDB or mmCIF file into fragments with caps and right charges."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kshot.cli.options import Force

if TYPE_CHECKING:
    from kshot.families.proteins import Fragments

NOTES_SHOWN = 40


def build(
    file: Annotated[Path, typer.Argument(help="A PDB or mmCIF file, possibly gzipped.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Extended XYZ; else FILE.extxyz here.")
    ] = None,
    residues: Annotated[
        bool, typer.Option("--residues", help="ACE–X–NME of each residue.")
    ] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="Two residues in contact.")] = False,
    pockets: Annotated[
        str, typer.Option(help="Around ligands or metals: 'HEM|ZN', or '*' for all.")
    ] = "",
    radius: Annotated[float, typer.Option(min=0.0, help="Of a pocket, in Å.")] = 4.5,
    contact: Annotated[float, typer.Option(min=0.0, help="Of a pair's side chains, in Å.")] = 4.0,
    ph: Annotated[float, typer.Option("--ph", help="For hydrogens that the file lacks.")] = 7.0,
    smiles: Annotated[
        list[str], typer.Option(help="NAME=SMILES of a ligand, with its charges.")
    ] = [],  # noqa: B006 - typer reads the list, nobody changes it
    charge: Annotated[list[str], typer.Option(help="NAME=CHARGE that must come out.")] = [],  # noqa: B006
    ion: Annotated[
        list[str], typer.Option(help="FE=3 or FE=3/6: oxidation state, multiplicity.")
    ] = [],  # noqa: B006
    ccd: Annotated[
        Path | None, typer.Option(help="A dictionary of components (mmCIF), for ligands.")
    ] = None,
    force: Force = False,
) -> None:
    """Cut a protein into families of fragments: capped residues, pairs, pockets.

    Without --residues, --pairs or --pockets: residues. What was chosen, rebuilt or left out is
    told on standard error.
    """
    from kshot.atoms.extxyz_write import write_extxyz
    from kshot.core.outputs import claim_outputs
    from kshot.families.proteins import Cuts, States, fragment_protein
    from kshot.families.proteins.metals import parse_ion

    names = tuple(name for name in pockets.replace(",", "|").split("|") if name)
    cuts = Cuts(_kinds(residues, pairs, bool(names)), names, radius, contact)
    states = States(
        ph,
        dict(_stated(text) for text in smiles),
        {name: _integer(value, f"{name}={value}") for name, value in map(_stated, charge)},
        dict(parse_ion(text) for text in ion),
        _components(ccd, ph),
    )
    output = output or Path(f"{file.name.split('.')[0]}.extxyz")
    _refuse_unwritable(output)
    claim_outputs([output], inputs=[file, *([ccd] if ccd else [])], force=force)
    found = fragment_protein(file, cuts, states, show=True)
    count = write_extxyz(
        output, (member.structure for family in found.families for member in family.members)
    )
    _report(found)
    typer.echo(f"{count} fragments in {len(found.families)} families: {output}")


def _kinds(residues: bool, pairs: bool, pockets: bool) -> frozenset:
    wanted = {"residues": residues or not (pairs or pockets), "pairs": pairs}
    return frozenset(kind for kind, yes in wanted.items() if yes)


def _stated(text: str) -> tuple[str, str]:
    from kshot.core.errors import InputError

    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise InputError("NAME=VALUE, such as LIG=-1", repr(text), "Correct the option.")
    return name.strip().upper(), value.strip()


def _integer(text: str, whole: str) -> int:
    from kshot.core.errors import InputError

    try:
        return int(text)
    except ValueError as error:
        raise InputError("a whole charge, such as LIG=-1", whole, "Correct it.") from error


def _components(ccd: Path | None, ph: float) -> dict:
    from kshot.families.proteins.templates import read_components

    return read_components(ccd, ph) if ccd else {}


def _refuse_unwritable(output: Path) -> None:
    from kshot.core.errors import InputError

    if not output.parent.is_dir():
        raise InputError("a folder that exists", str(output.parent), "Make it, or change -o.")
    if output.suffix not in {".extxyz", ".xyz"}:
        raise InputError("an output ending in .extxyz", str(output), "Change -o.")


def _report(found: Fragments) -> None:
    from rich.console import Console
    from rich.table import Table

    for note in found.notes[:NOTES_SHOWN]:
        typer.echo(f"note: {note}", err=True)
    if len(found.notes) > NOTES_SHOWN:
        typer.echo(f"note: and {len(found.notes) - NOTES_SHOWN} more", err=True)
    table = Table("family", "stratum", "members", "atoms", "charge", "multiplicity")
    for family in found.families:
        structures = [member.structure for member in family.members]
        table.add_row(
            family.name,
            family.stratum,
            str(len(structures)),
            _range([len(s) for s in structures]),
            " ".join(f"{q:+d}" if q else "0" for q in sorted({s.charge for s in structures})),
            _range([s.multiplicity for s in structures]),
        )
    Console(soft_wrap=True).print(table)


def _range(values: list[int]) -> str:
    low, high = min(values), max(values)
    return str(low) if low == high else f"{low}…{high}"

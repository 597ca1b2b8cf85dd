"""``kshot import-mace``: a model of mace-torch as a model of kshot."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kshot.cli.options import Force
from kshot.core.errors import InputError

if TYPE_CHECKING:
    from kshot.potentials.mace_torch import Exported


def import_mace(
    file: Annotated[
        Path, typer.Argument(help="What mace_run_train wrote: trained.model, or a published one.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .kshot file to write.")],
    dtype: Annotated[
        Literal["float32", "float64"], typer.Option(help="Of the parameters, and predictions.")
    ] = "float32",
    force: Force = False,
) -> None:
    """Turn a mace-torch model (ScaleShiftMACE) into a kshot model with the same energies.

    The file is a pickle. It is read as data: nothing in it runs, and PyTorch is not needed.
    """
    from kshot.atoms.elements import symbol
    from kshot.core.outputs import claim_outputs
    from kshot.potentials.mace_torch import convert
    from kshot.potentials.model import Model, Seen
    from kshot.potentials.model_file import save

    claim_outputs([output], inputs=[file], force=force)
    exported = _exported(file)
    converted = convert(exported)
    source = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    seen = Seen(tuple(sorted(converted.e0s)))
    record = {"imported": source | {"class": exported.hyper_parameters["class"]}}
    model = Model(converted.potential, converted.params, converted.e0s, seen, record=record)
    save(model.astype(dtype), output)
    known = ", ".join(symbol(z) for z in seen.elements)
    typer.echo(f"wrote {output}: MACE of {known}, cutoff {converted.potential.cutoff} Å, {dtype}")
    typer.echo("it counts as having seen neutral singlets only, and names no level of theory")


def _exported(file: Path) -> Exported:
    from kshot.potentials.mace_torch import read_export, read_saved

    if not file.is_file():
        todo = "Give a mace-torch model, such as trained.model."
        raise InputError("a file", f"{file}", todo)
    return read_export(file) if file.suffix == ".npz" else read_saved(file)

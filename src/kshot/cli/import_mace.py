"""``kshot import-mace``: a model of mace-torch as a model of kshot."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kshot.cli.options import Force
from kshot.core.errors import InputError

if TYPE_CHECKING:
    from kshot.potentials.mace_torch import Exported


def import_mace(
    file: Annotated[
        Path, typer.Argument(help="A mace-torch model, or the npz that export.py made of one.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .kshot file to write.")],
    dtype: Annotated[
        Literal["float32", "float64"], typer.Option(help="Of the parameters, and predictions.")
    ] = "float32",
    trust_pickle: Annotated[
        bool,
        typer.Option("--trust-pickle", help="Open a pickle, which can run its author's code."),
    ] = False,
    force: Force = False,
) -> None:
    """Turn a mace-torch model (ScaleShiftMACE) into a kshot model with the same energies.

    A mace-torch model is a pickle: opening it can run any code its author put there. It is opened
    only where torch and mace are installed, and only with --trust-pickle.
    """
    from kshot.atoms.elements import symbol
    from kshot.core.outputs import claim_outputs
    from kshot.potentials.mace_torch import convert
    from kshot.potentials.model import Model, Seen
    from kshot.potentials.model_file import save

    claim_outputs([output], inputs=[file], force=force)
    exported = _exported(file, trust_pickle)
    converted = convert(exported)
    source = {"file": file.name, "sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
    seen = Seen(tuple(sorted(converted.e0s)))
    record = {"imported": source | {"class": exported.hyper_parameters["class"]}}
    model = Model(converted.potential, converted.params, converted.e0s, seen, record=record)
    save(model.astype(dtype), output)
    known = ", ".join(symbol(z) for z in seen.elements)
    typer.echo(f"wrote {output}: MACE of {known}, cutoff {converted.potential.cutoff} Å, {dtype}")
    typer.echo("it counts as having seen neutral singlets only, and names no level of theory")


def _exported(file: Path, trust_pickle: bool) -> Exported:
    from kshot.potentials.mace_torch import export, from_arrays, read_export

    if not file.is_file():
        raise InputError("a file", f"{file}", "Give a mace-torch model, or an npz of one.")
    if file.suffix == ".npz":
        return read_export(file)
    if not trust_pickle:
        raise InputError(
            "an npz, or --trust-pickle",
            f"{file}, a pickle, which can run its author's code when it is opened",
            "Add --trust-pickle if you trust its author with your account.",
        )
    if not all(find_spec(name) for name in ("torch", "mace")):
        raise InputError(
            "torch and mace in this environment, or an npz",
            f"{file}, which needs both",
            f"Where mace-torch is: python {export.__file__} {file} -o model.npz --trust-pickle;"
            " then: kshot import-mace model.npz",
        )
    try:
        return from_arrays(export.exported(export.read_model(file, trust_pickle=True)), str(file))
    except TypeError as error:
        raise InputError("a mace-torch model", str(error), "Give its .model file.") from error

"""``kshot export``: a model file that needs no other one to be opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kshot.cli.options import Force

if TYPE_CHECKING:
    from kshot.potentials.model import Model


def export(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A model file, a delta, or a shipped start.")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", dir_okay=False, help="The file to write.")
    ],
    dtype: Annotated[
        Literal["float32", "float64"] | None,
        typer.Option(help="Of the parameters, and so of predictions; as it is if none is given."),
    ] = None,
    start: Annotated[
        str | None, typer.Option(help="Of a delta: its start, if that is not beside it or shipped.")
    ] = None,
    force: Force = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a model with all of its parameters: what to send to someone else.

    An adapted file is a delta, which needs its start to be opened. What is written here does not.
    """
    from kshot.core.outputs import claim_outputs
    from kshot.potentials.model_file import lineage, load, read, save
    from kshot.potentials.model_starts import start_path

    path = start_path(file)
    base_path = None if start is None else start_path(start)
    needed = lineage(path) if base_path is None else [path, *lineage(base_path)]
    claim_outputs([output], inputs=needed, force=force)
    model = load(path, start=base_path)
    base = read(path)[0]["start"]
    source = {"file": path.name, "digest": model.digest, "start": base and base["digest"]}
    moved = model if dtype is None else model.astype(dtype)
    save(moved.with_(record={**moved.record, "exported": source}), output)
    found = _found(moved, output, source)
    typer.echo(json.dumps(found, indent=1) if as_json else _words(found))


def _found(model: Model, output: Path, source: dict[str, Any]) -> dict[str, Any]:
    """Return what is told about the file that was written."""
    from kshot.potentials.model_file import summary

    said = summary(output)
    return {
        "output": str(output),
        "bytes": said["bytes"],
        "digest": model.digest,
        "potential": said["potential"],
        "parameters": said["parameters"],
        "dtype": str(model.dtype),
        "elements": said["seen"]["elements"],
        "source": source,
    }


def _words(found: dict[str, Any]) -> str:
    source = found["source"]
    network = f"{found['potential']} of {', '.join(found['elements'])}"
    size = f"{found['parameters']:,} parameters in {found['dtype']}, {found['bytes'] / 1e3:.0f} kB"
    lines = [f"wrote {found['output']}: {network}, {size}", f"digest {found['digest'][:12]}"]
    if source["start"]:
        lines.append(f"{source['file']} was a delta on the start {source['start'][:12]}")
    if source["digest"] != found["digest"]:
        old = f"{source['file']} ({source['digest'][:12]})"
        lines.append(f"other parameters than those of {old}: deltas on it still need it")
    return "\n".join(lines)

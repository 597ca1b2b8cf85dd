"""``kshot template``, ``validate``, ``train`` and ``resume``: from a configuration to a start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kshot.cli.options import Force

Config = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="See `kshot template train`.")]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="On top of the file.")
]
KEPT = "config.yaml"


def template(
    what: Annotated[str, typer.Argument(help="train or study")] = "train",
) -> None:
    """Print a commented configuration with every key."""
    from kshot.core.errors import UnknownNameError
    from kshot.pipeline.template import HEADS
    from kshot.pipeline.template import template as text

    if what not in HEADS:
        raise UnknownNameError(f"no template is called {what!r}. Known: {', '.join(HEADS)}.")
    typer.echo(text(what), nl=False)


def validate(config: Config, changes: Changes = None) -> None:
    """Check a configuration, and say what it would do; nothing is drawn, labelled or trained."""
    from kshot.pipeline.config import load_config
    from kshot.pipeline.families import chosen

    found = load_config(config, tuple(changes or ()))
    families = chosen(found.families)
    members = sum(len(family.members) for family in families.training)
    typer.echo(
        f"{config} is valid: {len(families.training)} families with {members} members train, "
        f"{len(families.validation)} are for choosing, {len(families.held_out)} are held out; "
        f"{found.joint.steps} steps of joint training of {found.model.architecture}"
    )


def train(
    config: Config,
    output: Annotated[Path, typer.Option("-o", "--output", help="The start to write.")],
    changes: Changes = None,
    force: Force = False,
) -> None:
    """Meta-train a start. Killed at any moment, the same command goes on where it ended."""
    import yaml

    from kshot.core.cache import use_compile_cache
    from kshot.core.outputs import claim_outputs
    from kshot.core.whole import whole
    from kshot.pipeline.config import load_config

    found = load_config(config, tuple(changes or ()))
    claim_outputs([output], inputs=[config], force=force)
    use_compile_cache()
    folder = work_folder(output)
    with whole(folder / KEPT) as part:
        part.write_text(yaml.safe_dump(found.model_dump(mode="json"), sort_keys=False))
    _train(found, output)


def resume(
    output: Annotated[Path, typer.Argument(help="The start that a killed training was to write.")],
    force: Force = False,
) -> None:
    """Go on with a training that was killed."""
    from kshot.core.cache import use_compile_cache
    from kshot.core.errors import InputError
    from kshot.core.outputs import claim_outputs
    from kshot.pipeline.config import load_config

    kept = work_folder(output) / KEPT
    if not kept.exists():
        todo = "Start it with `kshot train CONFIG.yaml -o START.kshot`."
        raise InputError("a training that was begun", f"no {kept}", todo)
    claim_outputs([output], inputs=[kept], force=force)
    use_compile_cache()
    _train(load_config(kept), output)


def work_folder(output: Path) -> Path:
    """Return where checkpoints, metrics and the configuration of a training are kept."""
    return output.with_suffix(".training")


def _train(config, output: Path) -> None:  # noqa: ANN001 - its type would import pydantic
    from kshot.pipeline.train import train as run
    from kshot.potentials.model_file import save

    model = run(config, work_folder(output), say=typer.echo)
    output.parent.mkdir(parents=True, exist_ok=True)
    digest = save(model, output)
    typer.echo(f"start in {output} (sha256 {digest[:12]})")

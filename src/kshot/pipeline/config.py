"""The configuration of meta-training: what a file may say, with every mistake told at once."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kshot.core.errors import InputError
from kshot.fewshot.algorithms import ALGORITHMS, Algorithm, Optimiser
from kshot.pipeline.draws import Draw


class ConfigError(InputError):
    """A configuration with mistakes in it; all of them are listed."""


class Strict(BaseModel):
    """What no unknown key gets into."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DrawConfig(Strict):
    """One way to draw configurations of every member; see `kshot.pipeline.draws.Draw`."""

    sampler: str = "auto"
    temperature: float = Field(default=300.0, gt=0, description="K")
    n: int = Field(default=8, ge=1, description="configurations of each member")
    isotopes: dict[str, str] = Field(default={}, description="such as {H: D}")
    strata: tuple[str, ...] = Field(default=(), description="only these; all if empty")
    without: tuple[str, ...] = Field(default=(), description="not these strata")
    most_atoms: int | None = Field(default=None, ge=1)

    members: tuple[str, ...] = Field(default=(), description="only members of these names")

    def draw(self) -> Draw:
        """Return it as the pipeline takes it."""
        return Draw(**self.model_dump())


class FamiliesConfig(Strict):
    """Which families train, which are for choosing, which are kept out of everything."""

    strata: tuple[str, ...] = Field(default=(), description="only these strata; all if empty")
    elements: tuple[str, ...] = Field(
        default=("H", "C", "N", "O"), description="members with any other element are left out"
    )
    most_atoms: int = Field(default=40, ge=1, description="larger members are left out")
    held_out: tuple[str, ...] = Field(default=(), description="families that only tests may see")
    relatives: tuple[str, ...] = Field(default=(), description="too near to those to train on")
    validation: tuple[str, ...] = Field(default=(), description="to choose on; none trains")


class DataConfig(Strict):
    """Configurations and their labels."""

    folder: Path = Field(default=Path("data"), description="where frames and the ledger are kept")
    labelled: Path | None = Field(
        default=None,
        description="a file of labelled frames that name their family: it takes the place of draws",
    )
    engine: str = Field(default="gfn2", description="as `kshot label` takes it")
    draws: tuple[DrawConfig, ...] = (DrawConfig(),)
    held_out_draws: tuple[DrawConfig, ...] = ()
    workers: int | None = Field(default=None, ge=1, description="processes; all cores if null")


class ModelConfig(Strict):
    """The network."""

    architecture: str = "mace"
    size: str = "small"
    cutoff: float = Field(default=5.0, gt=0, description="Å")
    config: dict[str, Any] = Field(default={}, description="fields of the network's own")


class JointConfig(Strict):
    """Joint training on all frames of all training families: the base of everything after."""

    steps: int = Field(default=20000, ge=0, description="optimiser steps")
    minutes: float | None = Field(
        default=None, gt=0, description="of one run, if it ends sooner; rates follow the steps"
    )
    batch: int = Field(default=8, ge=1, description="structures per pack")
    packs: int = Field(default=1, ge=1, description="per step; each may have a device of its own")
    rate: float = Field(default=5e-3, gt=0, description="peak learning rate of Adam")
    clip: float = Field(default=10.0, gt=0, description="largest norm of a gradient")


class MetaConfig(Strict):
    """Meta-learning: of the start, if an algorithm is named, and of the prior."""

    shots: int = Field(default=10, ge=2, description="K of a task")
    query: int = Field(default=10, ge=1, description="frames a task is judged on")
    algorithm: Algorithm | None = Field(default=None, description=" | ".join(ALGORITHMS))
    steps: int = Field(default=200, ge=1, description="outer steps")
    tasks: int = Field(default=1, ge=1, description="of one outer step")
    most_atoms: int = Field(default=24, ge=1, description="larger molecules are left out")
    rate: float = Field(default=3e-4, gt=0, description="peak of the outer Adam's rate")
    clip: float = Field(default=10.0, gt=0, description="largest norm of an outer gradient")
    inner_steps: int = Field(default=5, ge=1, description="in training")
    adapt_steps: int = Field(default=20, ge=1, description="at adaptation, if not in closed form")
    optimiser: Optimiser = Field(default="adam", description="the inner one: adam | sgd")
    inner_rate: float = Field(default=1e-3, gt=0, description="where learned rates start, too")


class LossConfig(Strict):
    """The energy-force loss; see `kshot.potentials.EnergyForces`."""

    energy_weight: float = Field(default=1.0, ge=0, description="of (eV/atom)²")
    forces_weight: float = Field(default=1.0, ge=0, description="of (eV/Å)²")
    huber: float | None = Field(default=None, gt=0)


class TrainConfig(Strict):
    """All of it; `kshot template train` prints a commented file."""

    name: str = "start"
    seed: int = 0
    families: FamiliesConfig = FamiliesConfig()
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    joint: JointConfig = JointConfig()
    meta: MetaConfig = MetaConfig()
    anchors: int = Field(default=32, ge=0, description="frames held against forgetting")
    precision: Literal["float32", "float64"] = "float32"


class StudyConfig(Strict):
    """A study of error against K; `kshot template study` prints a commented file."""

    start: str = Field(default="bio-small", description="a .kshot file, or a shipped start")
    training: Path | None = Field(
        default=None, description="a training configuration: its held-out families are studied"
    )
    frames: dict[str, Path] = Field(
        default={},
        description="or labelled frames by name; trajectories shots-1, shots-2 …, test-…",
    )
    shots: tuple[int, ...] = Field(default=(5, 10, 20, 50), min_length=1, description="K")
    draws: int = Field(default=5, ge=1, description="choices of shots; no two share a label")
    test: int = Field(default=40, ge=1, description="frames of a test set at most")
    beside: tuple[str, ...] = Field(
        default=(), description="engines that compete by their own energies, such as gfn2"
    )
    keep_old: bool = Field(
        default=False, description="show results of other code or frames; recompute none of them"
    )
    folder: Path = Field(default=Path("study"), description="of results, tables and pictures")


Kind = TypeVar("Kind", TrainConfig, StudyConfig)


def load_config(path: Path, changes: tuple[str, ...] = (), kind: type[Kind] = TrainConfig) -> Kind:
    """Return the configuration in a YAML file.

    Args:
        path: the file; its relative paths are relative to where kshot runs.
        changes: ``a.b=c`` each, put on top.
        kind: of what it is a configuration.

    Raises:
        ConfigError: any number of mistakes, all told at once.
    """
    try:
        text = Path(path).read_text()
        tree = yaml.safe_load(text) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        todo = "`kshot template` prints one that works."
        raise ConfigError("a readable YAML file", f"{path}: {error}", todo) from error
    if not isinstance(tree, dict):
        raise ConfigError("a mapping of keys", f"{type(tree).__name__}", "See `kshot template`.")
    for change in changes:
        _set(tree, change)
    return parse_config(tree, kind)


def parse_config(tree: dict[str, Any], kind: type[Kind] = TrainConfig) -> Kind:
    """Return the configuration that a mapping says; raise ConfigError with all mistakes."""
    try:
        return kind.model_validate(tree)
    except ValidationError as error:
        told = [_told(mistake, kind) for mistake in error.errors()]
        todo = "`kshot template` lists every key."
        raise ConfigError("a valid configuration", "; ".join(told), todo) from error


def _set(tree: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals:
        raise ConfigError("key=value, such as joint.steps=100", repr(change), "Add the value.")
    *path, last = key.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
        if not isinstance(tree, dict):
            raise ConfigError("a key with keys below it", f"{part!r} in {key!r}", "Check the path.")
    tree[last] = yaml.safe_load(value)


def _told(mistake: Any, kind: type[BaseModel]) -> str:  # noqa: ANN401 - pydantic's dictionary
    """Say one mistake with its dotted path, and what may have been meant."""
    path = [str(part) for part in mistake["loc"]]
    where = ".".join(path)
    if mistake["type"] != "extra_forbidden":
        return f"{where}: {mistake['msg']}"
    close = difflib.get_close_matches(path[-1], _keys(path[:-1], kind), n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{where}: no such key{hint}"


def _keys(path: list[str], kind: type[BaseModel]) -> list[str]:
    """Return the keys that are known below a path."""
    model: Any = kind
    for part in path:
        if part.isdigit():
            continue
        annotation = model.model_fields[part].annotation
        inner = annotation.__args__[0] if not isinstance(annotation, type) else annotation
        model = inner
    return list(model.model_fields)

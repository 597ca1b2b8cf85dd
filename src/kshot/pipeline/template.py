"""A configuration with every key, its default and its meaning: made from the models themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import BaseModel

from kshot.pipeline.config import StudyConfig, TrainConfig

HEADS = {
    "train": ("Meta-training of a start: `kshot train THIS.yaml -o START.kshot`.", TrainConfig),
    "study": ("A study of error against K: `kshot eval THIS.yaml`.", StudyConfig),
}


def template(what: str = "train") -> str:
    """Return a commented YAML file that says the defaults; ``what`` is a name in `HEADS`."""
    head, kind = HEADS[what]
    return f"# {head}\n" + "\n".join(_lines(kind(), 0)) + "\n"


def _lines(config: BaseModel, depth: int) -> Iterator[str]:
    pad = "  " * depth
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield f"{pad}{name}:  # {(type(value).__doc__ or '').splitlines()[0]}"
            yield from _lines(value, depth + 1)
            continue
        comment = f"  # {field.description}" if field.description else ""
        yield f"{pad}{name}: {_written(value)}{comment}"


def _written(value: object) -> str:
    """Return a value as YAML on one line: JSON is YAML."""
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return json.dumps([one.model_dump(mode="json") for one in value])
    return json.dumps(
        value if isinstance(value, int | float | str | dict | None) else _plain(value)
    )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else str(value)

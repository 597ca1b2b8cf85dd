"""Results as typed records: frozen, made of NumPy arrays, written as plain JSON.

A record holds everything a figure or a table needs, intervals included; whoever draws it computes
nothing. JSON has no NaN, so non-finite numbers are written as the strings "nan", "inf", "-inf".
"""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any, TypeVar

import numpy as np

from kshot.core.errors import InputError

SCHEMA = 1

# not typing.Self: beartype cannot check it outside classes that it decorates itself.
R = TypeVar("R", bound="Record")


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """Base of all results; subclasses are frozen dataclasses of arrays, numbers and names."""

    def to_json(self) -> str:
        """Return the record as one line of standard JSON."""
        return json.dumps(_encode(self), allow_nan=False)

    @classmethod
    def from_json(cls: type[R], text: str) -> R:
        """Return the record that `to_json` wrote.

        Raises:
            InputError: the text holds another kind of record, or another schema.
        """
        found = _decode(json.loads(text))
        if not isinstance(found, cls):
            todo = "Read it with the class that wrote it."
            raise InputError(f"a record of kind {cls.__name__}", type(found).__name__, todo)
        return found


def _encode(value: Any) -> Any:  # noqa: ANN401 - whatever a field may hold
    if isinstance(value, Record):
        fields = {f.name: _encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"record": type(value).__name__, "schema": SCHEMA, "fields": fields}
    if isinstance(value, np.ndarray):
        values = [_encode(v) for v in value.ravel().tolist()]
        return {"dtype": value.dtype.name, "shape": value.shape, "values": values}
    if isinstance(value, tuple):
        return [_encode(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    return value


def _decode(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, list):
        return tuple(_decode(v) for v in value)
    if not isinstance(value, dict):
        return value
    if "float" in value:
        return float(value["float"])
    if "dtype" in value:
        flat = np.array([_decode(v) for v in value["values"]], value["dtype"])
        return flat.reshape(value["shape"])
    return _decode_record(value)


def _decode_record(value: dict[str, Any]) -> Record:
    kinds = {kind.__name__: kind for kind in Record.__subclasses__()}
    name, schema = value.get("record"), value.get("schema")
    if name not in kinds or schema != SCHEMA:
        known = f"one of {', '.join(sorted(kinds))} with schema {SCHEMA}"
        todo = "It was written by another version of kshot, or is no record."
        raise InputError(known, f"{name} with schema {schema}", todo)
    return kinds[name](**{key: _decode(v) for key, v in value["fields"].items()})

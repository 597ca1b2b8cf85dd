"""Model files: ``.kshot``, a zip of ``model.json`` and ``arrays.npz``.

A *delta* holds only what differs from a start: arrays that changed, as the exclusive or of their
bits with the start's. It gives back the model bit for bit, and only upon that very start.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from kshot.atoms.elements import atomic_numbers, symbol
from kshot.core.errors import ModelFileError, OutputError, ParameterError
from kshot.core.manifest import Manifest, code_versions
from kshot.core.whole import whole
from kshot.potentials.model import Model, Seen, level_words
from kshot.potentials.model_archive import FRESH, pack, pack_arrays, unpack, unpack_arrays
from kshot.potentials.model_delta import applied, count, difference
from kshot.potentials.model_potential import describe, rebuild
from kshot.potentials.model_starts import digest_of, find_start
from kshot.potentials.model_tree import flatten, unflatten

SCHEMA = 1
KEYS = {
    "schema",
    "potential",
    "e0s",
    "seen",
    "record",
    "outline",
    "start",
    "digest",
    "arrays",
    "manifest",
}
MOST_EV = 1e9  # of a lone atom; more, or no number, is no energy
UNITS = {"energy": "eV", "length": "Å", "forces": "eV/Å", "charge": "e", "stress": "eV/Å³"}
VERSIONS = ("kshot", "jax", "jaxlib", "mlip", "numpy")


def save(model: Model, path: Path | str, *, parent: Path | str | Model | None = None) -> str:
    """Write a model to a file, whole or not at all; equal models make equal bytes.

    Args:
        model: what to write.
        path: where; replaced if it exists, but never where the parent, or what that itself is a
            delta on, would be lost.
        parent: the start it was adapted from: a delta on it is written, which needs it to be read.

    Returns:
        The sha256 of the file, in hexadecimal digits.

    Raises:
        ParameterError: parameters or the record hold what files cannot.
        OutputError: ``path`` holds a model that the delta needs.
    """
    path = Path(path)
    if parent is not None:
        _spare_parent(path, parent)
    shape, arrays = flatten(_trees(model))
    start = None
    if parent is not None:
        base = parent if isinstance(parent, Model) else load(parent)
        name = "" if isinstance(parent, Model) else Path(parent).name
        start = {"digest": base.digest, "file": name}
        arrays = difference(flatten(_trees(base))[1], arrays)
    packed = pack_arrays(arrays)
    parents = {} if start is None else {"start": start["digest"]}
    manifest = Manifest("model", parents=parents, units=UNITS, versions=code_versions(VERSIONS))
    content = {
        "schema": SCHEMA,
        "potential": describe(model.potential),
        "e0s": {symbol(z): float(model.e0s[z]) for z in sorted(model.e0s)},
        "seen": asdict(model.seen),
        "record": dict(model.record),
        "outline": shape,
        "start": start,
        "digest": model.digest,
        "arrays": hashlib.sha256(packed).hexdigest(),
        "manifest": asdict(manifest),
    }
    try:
        text = json.dumps(content | {"checksum": _checksum(content)}, allow_nan=False)
    except (ValueError, TypeError) as error:
        todo = "Convert the record to text, finite numbers, lists and dicts."
        raise ParameterError("a record of plain JSON values", str(error), todo) from error
    whole = pack(text, packed)
    _write(path, whole)
    return hashlib.sha256(whole).hexdigest()


def _spare_parent(path: Path, parent: Path | str | Model) -> None:
    """Refuse to write a delta where its parent is: nothing could open it any more."""
    if isinstance(parent, Model):
        lost = path.is_file() and digest_of(path) == parent.digest
    else:
        lost = path.exists() and any(path.samefile(one) for one in lineage(parent))
    if lost:
        todo = "Name another, or write all parameters (parent=None; --whole)."
        raise OutputError("a file of its own for a delta", f"{path}, which it stands on", todo)


def lineage(path: Path | str) -> list[Path]:
    """Return the files that are needed to open a model file: itself and, of a delta, its starts.

    Raises:
        ModelFileError: one of them is damaged, edited, or of a newer schema.
    """
    files: list[Path] = []
    link: Path | None = Path(path)
    while link is not None and link not in files:
        files.append(link)
        start = read(link)[0]["start"]
        link = start and find_start(str(start.get("digest")), link.parent, str(start.get("file")))
    return files


def load(path: Path | str, *, start: Path | str | Model | None = None) -> Model:
    """Return the model of a file.

    Args:
        path: the file.
        start: of a delta: what it was adapted from. If None, the file that it names is looked for
            beside it, and then its start among those that kshot ships.

    Raises:
        ModelFileError: damaged, edited, of a newer schema, or a delta on another start.
    """
    try:
        return _loaded(Path(path), start)
    except RecursionError as error:
        raise ModelFileError(f"a model in {path}", "one without an end", FRESH) from error


def _loaded(path: Path, start: Path | str | Model | None) -> Model:
    content, packed = read(path)
    if hashlib.sha256(packed).hexdigest() != content["arrays"]:
        raise ModelFileError(f"the arrays that {path} announces", "others", FRESH)
    arrays = unpack_arrays(packed, str(path))
    if content["start"] is not None:
        arrays = applied(_start(path, content["start"], start), arrays)
    trees = unflatten(content["outline"], arrays)
    if not isinstance(trees, dict) or set(trees) != {"params", "learned"}:
        raise ModelFileError(f"parameters in {path}", "none", FRESH)
    model = Model(
        potential=rebuild(content["potential"]),
        params=trees["params"],
        e0s=_e0s(content["e0s"]),
        seen=_seen(content["seen"]),
        learned=trees["learned"],
        record=content["record"],
    )
    if model.digest != content["digest"]:
        raise ModelFileError(f"the model that {path} announces", "another", FRESH)
    return model


def read(path: Path | str) -> tuple[dict[str, Any], bytes]:
    """Return what ``model.json`` of a file says, checked, and the bytes of ``arrays.npz``.

    Raises:
        ModelFileError: damaged, edited, or of a newer schema.
    """
    path = Path(path)
    content, packed = unpack(path)
    if not isinstance(content, dict) or type(content.get("schema")) is not int:
        raise ModelFileError(f"a schema number in {path}", "none", FRESH)
    if content["schema"] != SCHEMA:
        todo = "Upgrade: pip install -U kshot." if content["schema"] > SCHEMA else FRESH
        got = f"schema {content['schema']} in {path}"
        raise ModelFileError(f"a model file of schema {SCHEMA}", got, todo)
    checksum = content.pop("checksum", None)
    if set(content) != KEYS or _checksum(content) != checksum:
        raise ModelFileError(f"{path} as it was written", "an edited one", FRESH)
    start = content["start"]
    if not isinstance(content["record"], dict) or not (start is None or isinstance(start, dict)):
        raise ModelFileError(f"a record and a start in {path}", "others", FRESH)
    return content, packed


def summary(path: Path | str) -> dict[str, Any]:
    """Return what a file holds, for people and JSON; of a delta, what it changes.

    What an adaptation's shots cover is left out: see `kshot.potentials.coverage`.

    Raises:
        ModelFileError: damaged, edited, or of a newer schema.
    """
    content, packed = read(path)
    potential, seen = rebuild(content["potential"]), _seen(content["seen"])
    words = describe(potential)
    arrays = unpack_arrays(packed, str(path))
    start = content["start"]
    return {
        "kind": "model" if start is None else f"delta on {start.get('digest')}",
        "potential": words.get("architecture", words["kind"]).rpartition(":")[2],
        "parameters": sum(count(n, a) for n, a in arrays.items() if "params/" in n),
        "bytes": Path(path).stat().st_size,
        "cutoff_A": potential.cutoff,
        "seen": {
            "elements": [symbol(z) for z in seen.elements],
            "charges": list(seen.charges),
            "multiplicities": list(seen.multiplicities),
            "levels": [level_words(text) for text in seen.levels],
        },
        "e0s_eV": content["e0s"],
        "digest": content["digest"],
        "manifest": content["manifest"],
        "record": {name: v for name, v in content["record"].items() if name != "coverage"},
    }


def _trees(model: Model) -> dict[str, Any]:
    return {"params": model.params, "learned": dict(model.learned)}


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _e0s(written: Any) -> dict[int, float]:  # noqa: ANN401 - JSON
    known = atomic_numbers()
    good = isinstance(written, dict) and all(
        name in known and type(energy) in {int, float} and abs(energy) <= MOST_EV
        for name, energy in written.items()
    )
    if not good:
        raise ModelFileError("E0s in eV by element", repr(written)[:60], FRESH)
    return {known[name]: float(energy) for name, energy in written.items()}


def _seen(written: Any) -> Seen:  # noqa: ANN401 - JSON
    kinds = {"elements": int, "charges": int, "multiplicities": int, "levels": str}
    good = isinstance(written, dict) and set(written) == set(kinds)
    if not good or not all(
        isinstance(written[name], list) and all(type(one) is kind for one in written[name])
        for name, kind in kinds.items()
    ):
        raise ModelFileError("what the model has seen", repr(written)[:60], FRESH)
    return Seen(**{name: tuple(written[name]) for name in kinds})


def _start(
    path: Path, named: dict[str, Any], start: Path | str | Model | None
) -> dict[str, np.ndarray]:
    """Return the arrays of the start that a delta names, wherever it is."""
    digest, file = named.get("digest"), named.get("file")
    if start is None:
        found = find_start(str(digest), path.parent, str(file))
        if found is None:
            todo = f"Give start=, the file that was called {file!r}." if file else "Give start=."
            raise ModelFileError(f"the start of {path}, {str(digest)[:12]}", "none", todo)
        start = found
    base = start if isinstance(start, Model) else load(start)
    if base.digest != digest:
        got = f"{base.digest[:12]} ({'a model' if isinstance(start, Model) else start})"
        todo = "A delta fits only the start it was adapted from."
        raise ModelFileError(f"the start {str(digest)[:12]} of {path}", got, todo)
    return flatten(_trees(base))[1]


def _write(path: Path, content: bytes) -> None:
    try:
        with whole(path, durable=True) as part:
            part.write_bytes(content)
    except OSError as error:
        words = f"{path}: {error.strerror or error}"
        raise ModelFileError("a file that can be written", words, "Name another.") from error

"""Results in files that cannot go stale: each draw has a key of all that its numbers depend on.

A file per job and family, written as a whole after each draw. What does not answer the question any
more is set aside, and never shown beside what does.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import json
import tokenize
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import kshot
from kshot.atoms import Labelled
from kshot.core.errors import DataError
from kshot.core.whole import whole
from kshot.fewshot.expected import expected
from kshot.fewshot.least_squares import Score
from kshot.pipeline.study.frames import Draw
from kshot.pipeline.study.jobs import Job, Row

COMPUTES = ("atoms/", "core/", "fewshot/", "meta/", "potentials/", "pipeline/evaluate.py")
# readers, writers, pages and checks, the table of networks: frames and start have digests of their
# own. What errors to expect is read off a row's left-out errors when it is shown.
NO_NUMBERS = {
    *("asedb", "check", "comment", "data_plot", "data_report", "extxyz", "extxyz_write", "files"),
    *("published", "reading", "spice_write", "unit_traps", "arrays_file", "bars", "cache"),
    *("errors", "manifest", "whole", "model_archive", "model_ase", "model_cost", "model_delta"),
    *("model_file", "model_starts", "as_labeler", "history", "progress", "checkpoint"),
    *("expected", "architectures", "compressed", "limits", "coverage", "outputs", "species"),
}
LIBRARIES = ("jax", "jaxlib", "mlip", "equinox", "numpy", "scipy", "tblite")
SET_ASIDE = "set-aside"


class Key(NamedTuple):
    """What the numbers of a draw depend on, as digests.

    Args:
        frames: content of the shots in their order, and of each test set.
        start: of the model that is adapted.
        code: of all source that computes numbers.
        options: numbers of shots, the number of the draw, and those of the job.
    """

    frames: str
    start: str
    code: str
    options: str

    def differs(self, other: Key) -> list[str]:
        """Return the names of what is not the same."""
        return [name for name in self._fields if getattr(self, name) != getattr(other, name)]


class Record(NamedTuple):
    """A draw that has been run.

    Args:
        draw: its number.
        key: of what it was run on.
        seconds: it took.
        shares: whether other draws may share its labels.
        libraries: that it was computed with: told, but no reason to compute it anew.
        rows: its results.
    """

    draw: int
    key: Key
    seconds: float
    shares: bool
    libraries: str
    rows: list[Row]


def key_of(job: Job, draw: Draw, shots: Sequence[int]) -> Key:
    """Return the key of a draw for a job.

    Args:
        job: whose.
        draw: which.
        shots: numbers of labels that the job is run for.
    """
    options = {"shots": list(shots), "draw": draw.number, **job.options}
    return Key(
        frames_digest({"shots": draw.shots[: max(shots)], **draw.tests}),
        job.model.digest,
        code_digest(job.sources),
        _short(json.dumps(options, sort_keys=True).encode()),
    )


def frames_digest(parts: Mapping[str, Iterable[Labelled]]) -> str:
    """Return a digest of structures and labels, in their order, by the name of their part."""
    digest = hashlib.sha256()
    for name in sorted(parts):
        digest.update(f"\n{name}\n".encode())
        for structure, labels in parts[name]:
            digest.update(structure.key.encode())
            digest.update(f"{labels.energy!r}".encode())
            digest.update(labels.forces.astype("<f8").tobytes())
    return digest.hexdigest()[:16]


@functools.cache
def code_digest(sources: tuple[Path, ...] = ()) -> str:
    """Return a digest of the source that computes numbers; comments and docstrings do not count.

    Args:
        sources: files besides those of kshot that compute.
    """
    return _short("\n".join(map(_meaning, (*_computing(), *sources))).encode())


@functools.cache
def libraries() -> str:
    """Return the versions of the libraries that compute numbers."""
    return ", ".join(map(_version, LIBRARIES))


def _computing() -> list[Path]:
    """Return the files that a closed study imports, directly or not, of what computes."""
    root, study = Path(kshot.__file__).parent, Path(__file__).parent
    waiting = [study / name for name in ("closed.py", "frames.py", "jobs.py")]
    waiting += sorted((root / "fewshot" / "adapters").glob("*.py"))  # a table, not imports
    reached: set[Path] = set()
    while waiting:
        path = waiting.pop()
        if path in reached:
            continue
        reached.add(path)
        for name in _imports(path):
            place = root.joinpath(*name.split(".")[1:])
            files = (place.with_suffix(".py"), place / "__init__.py")
            waiting += [file for file in files if file.is_file() and _counts(file, root)]
    return sorted(reached)


def _imports(path: Path) -> set[str]:
    """Return the modules of kshot that a file may import: packages, and what it takes from them."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module)
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in modules if name.startswith("kshot.")}


def _counts(path: Path, root: Path) -> bool:
    inside = path.relative_to(root).as_posix()
    return path.stem not in NO_NUMBERS and inside.startswith(COMPUTES)


def _meaning(path: Path) -> str:
    """Return a file's code without comments, docstrings and blank lines.

    The text itself, not a dump of its tree: that differs between versions of Python.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            first, last = body[0].lineno - 1, body[0].end_lineno
            lines[first:last] = [""] * (last - first)
    code = [line.rstrip() for line in lines]
    return "\n".join([path.name, *filter(None, code)])


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _version(library: str) -> str:
    try:
        return f"{library} {version(library)}"
    except PackageNotFoundError:
        return library


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


class Store(NamedTuple):
    """A folder of results, a file for each job and family."""

    folder: Path

    def path(self, job: str, family: str) -> Path:
        """Return where the results of a job on a family are."""
        return self.folder / f"{job}-{family}.json"

    def read(self, job: str, family: str) -> list[Record]:
        """Return what has been run.

        Raises:
            DataError: the file holds no results.
        """
        path = self.path(job, family)
        return _records(path) if path.exists() else []

    def add(self, job: str, family: str, record: Record) -> None:
        """Put a draw into its file, where it takes the place of an older run of the same draw.

        What it replaces has to be set aside first.
        """
        others = [one for one in self.read(job, family) if one.draw != record.draw]
        records = sorted([*others, record], key=lambda one: one.draw)
        _write(self.path(job, family), job, family, records)

    def set_aside(self, job: str, family: str, draws: Collection[int]) -> Path:
        """Move draws into a file of their own, that no table reads; return which."""
        records = self.read(job, family)
        gone = [record for record in records if record.draw in draws]
        path = self.folder / SET_ASIDE / self.path(job, family).name
        number = 1
        while path.exists():
            number += 1
            path = path.with_name(f"{job}-{family}-{number}.json")
        _write(path, job, family, gone)
        left = [record for record in records if record.draw not in draws]
        _write(self.path(job, family), job, family, left)
        return path


def _write(path: Path, job: str, family: str, records: Sequence[Record]) -> None:
    draws = [
        {**record._asdict(), "key": record.key._asdict(), "rows": record.rows} for record in records
    ]
    text = json.dumps({"job": job, "family": family, "draws": draws}, indent=0)
    with whole(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def _records(path: Path) -> list[Record]:
    try:
        draws = json.loads(path.read_text(encoding="utf-8"))["draws"]
        return [Record(**{**draw, "key": Key(**draw["key"])}) for draw in draws]
    except (OSError, ValueError, TypeError, KeyError) as error:
        todo = "Move it away; the study then computes it anew."
        raise DataError("results of a study", f"{path}: {error!r}", todo) from error


def read_rows(folder: Path, start: str) -> list[Row]:
    """Return the rows of one start in a folder, each with family, draw and the digest of its code.

    Args:
        folder: of a study's results.
        start: digest of the start.

    Raises:
        DataError: a file in it holds no results, or they are of several versions of the code.
    """
    rows: list[Row] = []
    codes: dict[str, set[str]] = {}
    for path in sorted(folder.glob("*.json")):
        job, family = _names(path)
        for record in _records(path):
            if record.key.start == start:
                rows += labelled_rows(family, record)
                codes.setdefault(job, set()).add(record.key.code)
    if mixed := [job for job, versions in codes.items() if len(versions) > 1]:
        todo = "Run the study again: it recomputes what is old."
        got = f"{folder}: {mixed[0]} of {len(codes[mixed[0]])}"
        raise DataError("results of one version of the code", got, todo)
    return rows


def _names(path: Path) -> tuple[str, str]:
    """Return the job and the family of a file of results."""
    held = json.loads(path.read_text(encoding="utf-8"))
    return str(held["job"]), str(held["family"])


def labelled_rows(family: str, record: Record) -> list[Row]:
    """Return the rows of a record, each with what tells it from those of others."""
    more: dict[str, Any] = {
        "family": family,
        "draw": record.draw,
        "shares": record.shares,
        "code": record.key.code,
        "libraries": record.libraries,
    }
    return [{**row, **_expected(row), **more} for row in record.rows]


def _expected(row: Row) -> Row:
    """Return the errors that kshot, as it is calibrated now, states for a row's left-out errors."""
    if "cv" not in row:
        return {}
    stated = expected(Score(*row["cv"]), row["k"], row["atoms"])
    return {f"expected_{name}": value for name, value in stated._asdict().items()}

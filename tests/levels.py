"""Who may import whom: the table of levels, and the checker, which reads source and runs none."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

PACKAGE = "kshot"
# A registry's lazy entry, "kshot.meta.rules.sgd:sgd", is an import too.
LAZY = re.compile(rf"{PACKAGE}(\.\w+)+:\w+")


@dataclass(frozen=True)
class Row:
    """A part of kshot imports from lower levels only, and never those named, libraries included."""

    level: int
    never: frozenset[str] = frozenset()


def row(level: int, *, never: str = "") -> Row:
    return Row(level, frozenset(never.split()))


# A new part of kshot gets a row here, and nothing else needs to change.
LEVELS = {
    "core": row(0),
    "meta": row(1),
    "atoms": row(1),
    "potentials": row(2, never="meta"),
    "labelers": row(2, never="meta jax equinox optax"),
    "families": row(2, never="meta jax equinox optax"),
    "md": row(3, never="meta"),
    "fewshot": row(3),  # the bridge: the only part that sees both meta and atoms
    "active": row(4, never="meta"),
    "pipeline": row(5, never="meta"),
    "report": row(
        6,  # it reads artifacts only
        never="meta atoms potentials labelers families md fewshot active pipeline jax",
    ),
    "config": row(6),
    "cli": row(7),
    "demo": row(7),
    "__main__": row(8),
    "testing": row(8),  # the public contracts know everything; only tests know them
}


@dataclass(frozen=True)
class Import:
    """One import: `target` is a kshot module, or the top-level name of a foreign package."""

    importer: str
    target: str
    line: int


def modules(src: Path) -> dict[str, Path]:
    """Every module of the package, by dotted name; a package goes by the name of its folder."""
    found = {}
    for path in sorted((src / PACKAGE).rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(src: Path) -> list[Import]:
    """Every import of the package: top-level, inside functions, and under TYPE_CHECKING alike."""
    known = modules(src)
    return [
        Import(name, resolve(target, known), line)
        for name, path in known.items()
        for target, line in targets(path, name)
    ]


def targets(path: Path, module: str) -> Iterator[tuple[str, int]]:
    """Absolute dotted names imported by one file, with their lines."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=origin, names=names, level=level):
                base = package.split(".")[: len(package.split(".")) - level + 1] if level else []
                stem = ".".join([*base, *([origin] if origin else [])])
                yield from ((f"{stem}.{alias.name}", node.lineno) for alias in names)
            case ast.Constant(value=str(text)) if LAZY.fullmatch(text):
                yield text.replace(":", "."), node.lineno


def resolve(name: str, known: dict[str, Path]) -> str:
    """`kshot.meta.task.Task` → `kshot.meta.task`; a foreign name → its top-level package."""
    if name.partition(".")[0] != PACKAGE:
        return name.partition(".")[0]
    while name not in known and "." in name:
        name = name.rpartition(".")[0]
    return name


def part(module: str) -> str:
    """`kshot.meta.rules.sgd` → `meta`; the root and foreign packages are their own names."""
    head, _, rest = module.partition(".")
    return rest.partition(".")[0] if head == PACKAGE and rest else head


def level_violations(src: Path, levels: dict[str, Row] = LEVELS) -> list[str]:
    """Imports that go up, sideways, or to what the importer must not know; one sentence each."""
    found = [(edge, violation(edge, levels)) for edge in imports(src)]
    return [f"{e.importer}:{e.line} imports {e.target}: {why}" for e, why in found if why]


def violation(edge: Import, levels: dict[str, Row]) -> str | None:
    """What is wrong with one import, if anything."""
    here, there = part(edge.importer), part(edge.target)
    inside = edge.target.partition(".")[0] == PACKAGE
    if here == PACKAGE:
        return "the root package imports no part of itself" if inside else None
    if here not in levels:
        return f"`{here}` has no level; give it a row in tests/levels.py"
    if there in levels[here].never:
        return f"`{here}` must not know `{there}`"
    if not inside or there in {here, PACKAGE}:
        return None
    down = there in levels and levels[there].level < levels[here].level
    return None if down else f"imports go down, and `{there}` is not below `{here}`"


def cycle(src: Path) -> list[str]:
    """Some import cycle between modules, lazy and typing-only imports included; else empty."""
    graph: dict[str, set[str]] = {name: set() for name in modules(src)}
    for edge in imports(src):
        if edge.target in graph and edge.target != edge.importer:
            graph[edge.importer].add(edge.target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []

"""A mutant: one place of the code changed so that a promise is broken; tests must see it."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LISTS = Path(__file__).parent / "lists"
KEYS = {"name", "promise", "file", "old", "new", "tests"}


class MutantError(Exception):
    """A list of mutants that cannot be used: it has fallen behind the code."""


@dataclass(frozen=True)
class Mutant:
    """What is changed, and who must notice.

    Args:
        name: unique, in words joined by hyphens.
        promise: what is broken, in a sentence.
        file: path below the root of the repository.
        old: text that stands exactly once in the file.
        new: what takes its place.
        tests: pytest's names of tests, of which at least one must fail.
    """

    name: str
    promise: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, root: Path) -> str:
        """Return the whole text of the file as the mutant has it.

        Raises:
            MutantError: the old text does not stand in the file exactly once.
        """
        path = root / self.file
        if not path.is_file():
            raise MutantError(
                f"{self.name}: expected the file {self.file}; got none. Mend its list."
            )
        text = path.read_text(encoding="utf-8")
        if (count := text.count(self.old)) != 1:
            found = f"{count} times in {self.file}"
            raise MutantError(
                f"{self.name}: expected its old text once; got it {found}. Mend its list."
            )
        return text.replace(self.old, self.new)


def read_mutants(folder: Path = LISTS) -> list[Mutant]:
    """Return every mutant of a folder's lists, in order.

    Raises:
        MutantError: a key is missing, unknown or of another type, or a name stands there twice.
    """
    mutants: list[Mutant] = []
    for path in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]:
            if set(entry) != KEYS or not entry["tests"] or entry["old"] == entry["new"]:
                name = entry.get("name", "a mutant without a name")
                raise MutantError(f"{path.name}, {name}: expected {sorted(KEYS)} and a change.")
            mutants.append(Mutant(**{**entry, "tests": tuple(entry["tests"])}))
    names = [one.name for one in mutants]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MutantError(f"expected a name for each mutant; got {twice} twice.")
    return mutants


def named(mutants: Sequence[Mutant], names: Sequence[str]) -> list[Mutant]:
    """Return the mutants of some names; all if none is given.

    Raises:
        MutantError: a name that no mutant has.
    """
    if unknown := sorted(set(names) - {one.name for one in mutants}):
        raise MutantError(f"no mutant is called {unknown[0]!r}; see --list.")
    return [one for one in mutants if not names or one.name in names]

"""Union–find: which things are connected by relations, however long the chain between them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable


class Components:
    """Groups of names that grow together.

    Args:
        names: all of them; each starts alone.
    """

    def __init__(self, names: Iterable[str]) -> None:
        """Start with everybody alone."""
        self._above = {name: name for name in names}

    def root(self, name: str) -> str:
        """Return the name that stands for the group of ``name``."""
        while self._above[name] != name:
            self._above[name] = self._above[self._above[name]]  # shorter for the next one
            name = self._above[name]
        return name

    def join(self, one: str, other: str) -> None:
        """Merge two groups; the name that sorts first stands for both, whatever the order."""
        a, b = sorted((self.root(one), self.root(other)))
        self._above[b] = a

    def groups(self) -> list[tuple[str, ...]]:
        """Return the groups, sorted inside and among each other."""
        found: dict[str, list[str]] = defaultdict(list)
        for name in sorted(self._above):
            found[self.root(name)].append(name)
        return sorted(tuple(group) for group in found.values())

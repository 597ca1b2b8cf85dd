"""One lazy table per kind of thing: ``name → "module:factory"``.

Nothing is imported until asked for, so a missing extra costs only those who use it.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from kshot.core.errors import MissingExtraError, UnknownNameError


class Registry:
    """The table of one kind (rules, metagrads, algorithms, …).

    Args:
        kind: what the entries are, in the singular, for messages.
        table: name → ``"package.module:attribute"``.
        extras: name → pip extra whose packages the entry needs.
    """

    def __init__(
        self, kind: str, table: Mapping[str, str], extras: Mapping[str, str] | None = None
    ) -> None:
        """Keep the table; import nothing yet."""
        self.kind = kind
        self._table = dict(table)
        self._extras = dict(extras or {})

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order they were registered."""
        return iter(self._table)

    def __contains__(self, name: object) -> bool:
        """Whether the name is registered."""
        return name in self._table

    def example(self, name: str) -> Any:  # noqa: ANN401 - entries make anything
        """Return the small instance of an entry that the contract tests run.

        The entry's module defines it as ``example_<name>()``.
        """
        module = self._import(self._target(name).partition(":")[0], name)
        return getattr(module, f"example_{name}")()

    def get(self, name: str) -> Any:  # noqa: ANN401 - entries are factories of any signature
        """Import and return one entry.

        Raises:
            UnknownNameError: the name is not in the table; close names are suggested.
            MissingExtraError: its package is not installed; the message has the pip command.
        """
        module, _, attribute = self._target(name).partition(":")
        found = self._import(module, name)
        for part in attribute.split("."):
            found = getattr(found, part)
        return found

    def _target(self, name: str) -> str:
        if name in self._table:
            return self._table[name]
        close = difflib.get_close_matches(name, self._table, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        known = ", ".join(sorted(self._table))
        raise UnknownNameError(f"no {self.kind} is called {name!r}.{hint} Known: {known}.")

    def _import(self, module: str, name: str) -> Any:  # noqa: ANN401
        try:
            return importlib.import_module(module)
        except ModuleNotFoundError as error:
            if name not in self._extras:
                raise
            raise missing_extra(f"{self.kind} {name!r}", error.name, self._extras[name]) from error


def missing_extra(what: str, package: str | None, extra: str) -> MissingExtraError:
    """Return the error that tells how to install what ``what`` needs."""
    return MissingExtraError(
        f"{what} needs the package {package!r}, which is not installed. "
        f"Install it with: pip install 'kshot[{extra}]'"
    )

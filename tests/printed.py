"""Run what a Markdown page prints.

- Python blocks of one page run in order, in one namespace, as a reader would paste them.
- `# → value` after an expression or a `print(...)` (on its last line, or on the lines below it) is
  compared with what Python gives; `...` matches anything, as in doctest.
- `$ kshot …` lines of console blocks run in the same folder, in order with the Python, and must end
  with status 0; `make` commands name real targets.
- `<!-- not executed: reason -->` right above a block is the one way out.
"""

import ast
import contextlib
import doctest
import io
import re
import shlex
import subprocess
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(
    r"^(?P<indent> *)(?P<ticks>`{3,})(?P<language>\w*)[^`\n]*\n"
    r"(?P<body>.*?)^(?P=indent)(?P=ticks) *$",
    re.M | re.S,
)
OPT_OUT = re.compile(r"<!-- not executed: \S[^>]*-->\s*\Z")
MAKE = re.compile(r"^\s*(?:\$ )?(?:\w+=\S+ )*make (?!-)(?P<target>[\w-]+)", re.M)
COMMAND = re.compile(r"^\$ kshot (.*)$", re.M)
ARROW = re.compile(r"# ?→ ?(.*)")
MATCH = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SHELLS = {"console", "bash", "sh", "shell"}


@dataclass(frozen=True)
class Block:
    """A fenced block; `line` is that of its first line of code in the page."""

    page: Path
    line: int
    language: str
    source: str
    executed: bool


class WrongOutputError(AssertionError):
    """The page prints something else than Python does."""


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, in order."""
    text = page.read_text()
    return [
        Block(
            page,
            line=text.count("\n", 0, match.start("body")) + 1,
            language=match["language"],
            source=re.sub(rf"^{match['indent']}", "", match["body"], flags=re.M),
            executed=not OPT_OUT.search(text[: match.start()]),
        )
        for match in FENCE.finditer(text)
    ]


def run(block: Block, namespace: dict[str, object]) -> None:
    """Execute a block and compare the values it promises; tracebacks point into the page."""
    promises = promised(block)
    for statement in ast.parse(block.source).body:
        want = promises.pop(statement.end_lineno, None)
        where = f"{block.page.name}:{block.line + statement.lineno - 1}"
        answers = execute(statement, namespace, block)
        if want is not None and not any(same(want, answer) for answer in answers):
            raise WrongOutputError(f"{where}: the page prints {want!r}, Python gives {answers}")
    for line in promises:
        where = f"{block.page.name}:{block.line + line - 1}"
        raise WrongOutputError(f"{where}: `# →` must follow an expression or a print at top level")


def run_commands(block: Block) -> None:
    """Run the kshot commands of a console block; each must succeed."""
    for arguments in COMMAND.findall(block.source):
        command = [sys.executable, "-m", "kshot", *shlex.split(arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            where = f"{block.page.name}:{block.line}"
            raise WrongOutputError(f"{where}: kshot {arguments}: {done.stderr or done.stdout}")


def promised(block: Block) -> dict[int, str]:
    """The text after `# →`, by the line of code it belongs to: its own, or the last one above."""
    found: dict[int, str] = {}
    code = 0
    for token in tokenize.generate_tokens(io.StringIO(block.source).readline):
        if token.type == tokenize.COMMENT:
            if match := ARROW.match(token.string):
                found[code] = "\n".join(filter(None, [found.get(code), match[1].strip()]))
        elif token.string.strip():
            code = token.end[0]
    return found


def execute(statement: ast.stmt, namespace: dict[str, object], block: Block) -> list[str]:
    """Run one statement; give what it printed, or else the repr and str of its value."""
    ast.increment_lineno(statement, block.line - 1)
    printed = io.StringIO()
    value = None
    with contextlib.redirect_stdout(printed):
        if isinstance(statement, ast.Expr):
            value = eval(
                compile(ast.Expression(statement.value), str(block.page), "eval"), namespace
            )
        else:
            exec(compile(ast.Module([statement], []), str(block.page), "exec"), namespace)
    if printed.getvalue():
        return [printed.getvalue()]
    return [] if value is None else [repr(value), str(value)]


def same(want: str, got: str) -> bool:
    """Whether the two agree as doctest sees it: white space is loose and `...` matches anything."""
    return doctest.OutputChecker().check_output(want + "\n", got.rstrip("\n") + "\n", MATCH)


def unknown_targets(block: Block, makefile: Path) -> set[str]:
    """Targets of `make` commands in a console block that the Makefile does not have."""
    known = set(re.findall(r"^([\w-]+):(?!=)", makefile.read_text(), re.M))
    return set(MAKE.findall(block.source)) - known

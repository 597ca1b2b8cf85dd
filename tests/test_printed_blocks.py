"""What README, docs and docstrings print is what Python does."""

import doctest
import importlib
import textwrap
from pathlib import Path

import jax
import pytest

from levels import modules
from printed import SHELLS, WrongOutputError, blocks, run, run_commands, unknown_targets

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
MODULES = [name for name in modules(ROOT / "src") if not name.endswith(".__main__")]


@pytest.fixture
def as_a_reader(tmp_path, monkeypatch):
    """An empty folder and JAX's defaults: where a reader pastes."""
    monkeypatch.chdir(tmp_path)
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_runs(page, subtests):
    namespace = {"__name__": "__main__"}
    for block in blocks(page):
        with subtests.test(f"{page.relative_to(ROOT)}:{block.line}"):
            if block.language == "python" and block.executed:
                run(block, namespace)
            if block.language in SHELLS and block.executed:
                run_commands(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_names_real_make_targets(page):
    for block in blocks(page):
        if block.language in SHELLS:
            assert not unknown_targets(block, ROOT / "Makefile"), f"{page.name}:{block.line}"


@pytest.mark.usefixtures("as_a_reader")
@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    assert doctest.testmod(importlib.import_module(name), optionflags=flags).failed == 0


# --- the harness itself --------------------------------------------------------------------------


def test_a_command_that_fails_is_found(page):
    fine, broken = page("""
        ```console
        $ kshot --version
        $ make test
        ```
        ```console
        $ kshot families show nothing-of-that-name
        ```
        """)
    run_commands(fine)
    with pytest.raises(WrongOutputError, match="nothing-of-that-name"):
        run_commands(broken)


@pytest.fixture
def page(tmp_path):
    """Write a page and return its blocks."""

    def write(text):
        path = tmp_path / "page.md"
        path.write_text(textwrap.dedent(text))
        return blocks(path)

    return write


def test_blocks_share_a_namespace_and_promises_are_kept(page):
    found = page("""
        ```python
        x = 2
        x * 3  # → 6
        print(x)  # → 2
        for i in range(2):
            print(i)
        # → 0
        # → 1
        ```

        - in a list:
          ```python
          'a' * x      # → aa
          list(range(99))  # → [0, 1, ..., 98]
          ```
        """)
    namespace = {}
    for block in found:
        run(block, namespace)
    assert namespace["x"] == 2
    assert [block.line for block in found] == [3, 14]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1\n\nx + 1  # → 3", 5),
        ("print(1)  # → 2", 3),
        ("print(1)\n# → 1\n# → 2", 3),
        ("x = 1  # → 1", 3),
        ("None  # → 0", 3),
        ("if True:\n    1  # → 2", 3),
        ("# → 1", 2),
    ],
)
def test_a_broken_promise_is_found(page, source, line):
    (block,) = page(f"\n```python\n{source}\n```\n")
    with pytest.raises(WrongOutputError, match=rf"^page.md:{line}: "):
        run(block, {})


def test_a_traceback_points_into_the_page(page):
    (block,) = page("""
        # Title
        ```python
        x = 1
        x / 0
        ```
        """)
    with pytest.raises(ZeroDivisionError) as caught:
        run(block, {})
    assert caught.traceback[-1].lineno + 1 == 5


def test_only_a_reasoned_comment_opts_out(page):
    code = "```python\nlaunch()\n```"
    reasoned, bare = "<!-- not executed: needs a cluster -->", "<!-- not executed: -->"
    found = page(f"{reasoned}\n{code}\n\n{bare}\n{code}\n\n{code}\n")
    assert [block.executed for block in found] == [False, True, True]


def test_make_targets(page, tmp_path):
    makefile = tmp_path / "Makefile"
    makefile.write_text("demo: env\n\techo\nX := 1\n")
    (block,) = page("```console\n$ git clone x\n$ make demo\n$ JOBS=4 make dmeo\n```\n")
    assert unknown_targets(block, makefile) == {"dmeo"}

"""The lists of mutants keep up with the code: every change applies, every test is there."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def mutant():
    """The module that reads the lists, which is no part of the package."""
    folder = str(ROOT / "benchmarks" / "mutants")
    sys.path.insert(0, folder)
    try:
        import mutant
    finally:
        sys.path.remove(folder)
    return mutant


def test_every_mutant_applies_to_the_code_and_changes_it(mutant):
    mutants = mutant.read_mutants()
    assert len(mutants) >= 24
    for one in mutants:
        text = one.applied(ROOT)
        assert text != (ROOT / one.file).read_text(encoding="utf-8")
        ast.parse(text)  # a mutant that is no Python would be noticed by anything


def test_every_test_that_is_to_notice_is_there(mutant):
    for one in mutant.read_mutants():
        for test in one.tests:
            file, _, name = test.partition("::")
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
            assert not name or name.partition("[")[0] in names, f"{one.name}: {test}"


@pytest.mark.parametrize(("old", "times"), [("absent", "0 times"), ("twice", "2 times")])
def test_a_list_that_has_fallen_behind_is_told(mutant, tmp_path, old, times):
    (tmp_path / "code.py").write_text("twice = 1\nprint(twice)\n")
    one = mutant.Mutant("name", "promise", "code.py", old, "new", ("tests/test_x.py",))
    with pytest.raises(mutant.MutantError, match=f"name: .* once; got it {times}"):
        one.applied(tmp_path)
    with pytest.raises(mutant.MutantError, match="expected the file"):
        one.applied(tmp_path / "elsewhere")

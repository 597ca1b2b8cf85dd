"""Every registered way to adapt keeps its contract, and none is named outside its own file."""

import ast
from pathlib import Path

import pytest

from kshot.core.errors import ContractError, OptionError, UnknownNameError
from kshot.fewshot import descent
from kshot.fewshot.adapters import adapters, named, slow, usual
from kshot.fewshot.adapters.inner import Inner, energy_forces, with_inner
from kshot.fewshot.adapters.linear import Linear
from kshot.fewshot.recipes import Options
from kshot.testing import check_adapter
from kshot.testing.adapters import springs

SRC = Path(__file__).parent.parent / "src" / "kshot"
ALGORITHMS = {"fewshot/algorithms.py", "fewshot/recipes.py"}
"""Names of the engine's algorithms, one of which is called as an adapter is."""
SECTION = {"pipeline/card.py": {"meta"}}
"""A section of configurations, which is called as an adapter is."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(descent, "PATIENCE", 40)
    monkeypatch.setattr(descent, "GUARD", 200)


def brings_a_rule():
    model = springs()
    rule = Inner("fomaml", energy_forces(model, 1.0, 1.0), Options(rate=1e-3), steps=2)
    return with_inner(model, rule, model.params)


@pytest.mark.parametrize("name", [name for name in adapters if name != "meta"])
def test_contract(name):
    check_adapter(adapters.get(name), brings_a_rule() if name == "inner" else None)


def test_one_that_peeks_is_caught():
    class Peeks(Linear):
        def fits(self, problem, judged, folds):
            return super().fits(problem, judged, [() for _ in folds])

    peeks = Peeks("peeks", "of left-out frames", adapters.get("uniform").variance)
    with pytest.raises(ContractError, match="know nothing of what they leave out"):
        check_adapter(peeks)


def test_one_that_does_not_know_its_labels_is_caught():
    class Deaf(Linear):
        def fits(self, problem, judged, folds):
            return super().fits(problem, judged, [list(range(6)) for _ in folds])

    with pytest.raises(ContractError, match="believe what they keep"):
        check_adapter(Deaf("deaf", "of no frames", adapters.get("uniform").variance))


def literals(path: Path) -> set[str]:
    """Return the text constants of a file that are no docstrings."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    texts = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in texts if isinstance(node.value, str) and id(node) not in docs}


def test_no_name_of_a_method_stands_outside_its_own_file():
    tables = {"fewshot", "pipeline", "report", "cli", "demo"}
    spoken = {}
    for folder in tables:
        for path in (SRC / folder).rglob("*.py"):
            place = path.relative_to(SRC).as_posix()
            if not place.startswith("fewshot/adapters/") and place not in ALGORITHMS:
                spoken[place] = (literals(path) & set(adapters)) - SECTION.get(place, set())
    assert {place: words for place, words in spoken.items() if words} == {}


def test_adding_one_is_a_file_and_a_line(monkeypatch, tmp_path):
    (tmp_path / "halves.py").write_text(
        "from kshot.fewshot import priors\n"
        "from kshot.fewshot.adapters.linear import Linear\n"
        "HALVES = Linear('halves', 'halves', lambda *given: 0.5 * priors.uniform(*given))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(adapters._table, "halves", "halves:HALVES")
    check_adapter(*named(["halves"]))
    assert usual(springs())[-1] == "halves"


def test_names_that_are_none_are_told_apart():
    with pytest.raises(UnknownNameError, match="Did you mean 'fisher'"):
        named(["fischer"])
    with pytest.raises(OptionError, match="one of shift, head"):
        named(["finetune"])
    assert named(["shift", "head", "shift"]) == named(["shift", "head"])
    assert set(slow()) == {"finetune"}
    assert not set(slow()) & set(usual(springs()))

"""Imports go down, never sideways, never in a circle."""

from pathlib import Path

import pytest

from levels import cycle, level_violations

SRC = Path(__file__).parent.parent / "src"


def test_imports_go_down():
    assert level_violations(SRC) == []


def test_no_import_cycle():
    assert cycle(SRC) == []


@pytest.fixture
def tree(tmp_path):
    """Write a small kshot from {file: source} and return its src folder."""

    def write(files: dict[str, str]) -> Path:
        for name, source in files.items():
            path = tmp_path / "kshot" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return tmp_path

    return write


BAD = {
    "up": {"core/trees.py": "from kshot.meta import task", "meta/task.py": ""},
    "sideways": {"meta/train.py": "import kshot.atoms.graph", "atoms/graph.py": ""},
    "relative": {"core/trees.py": "from ..meta.task import Task", "meta/task.py": ""},
    "relative from a package": {"core/__init__.py": "from .. import meta", "meta/__init__.py": ""},
    "lazy": {"core/rng.py": "def f():\n    from kshot.meta import task", "meta/task.py": ""},
    "typing only": {
        "meta/task.py": "if TYPE_CHECKING:\n    from kshot.atoms import graph",
        "atoms/graph.py": "",
    },
    "registry entry": {"core/registry.py": "T = {'sgd': 'kshot.meta.sgd:sgd'}", "meta/sgd.py": ""},
    "past the bridge": {"potentials/mace.py": "from kshot.meta import task", "meta/task.py": ""},
    "foreign": {"labelers/pyscf.py": "import jax.numpy as jnp"},
    "no row": {"elsewhere.py": "import kshot.core", "core/__init__.py": ""},
    "root": {"__init__.py": "from kshot import meta", "meta/__init__.py": ""},
}


@pytest.mark.parametrize("files", BAD.values(), ids=BAD)
def test_checker_sees(tree, files):
    assert len(level_violations(tree(files))) == 1


def test_checker_lets_down_inside_and_foreign_pass(tree):
    src = tree(
        {
            "__init__.py": "",
            "core/trees.py": "import jax\nfrom kshot import __version__",
            "meta/task.py": "from kshot.core.trees import add",
            "meta/train.py": "from .task import Task\nfrom kshot.core import trees",
            "fewshot/bridge.py": "from kshot import atoms, meta\nfrom kshot.meta.task import Task",
            "meta/__init__.py": "",
            "atoms/__init__.py": "",
        }
    )
    assert level_violations(src) == []
    assert cycle(src) == []


@pytest.mark.parametrize(
    "back",
    ["from kshot.meta import Task", "def f():\n    from . import train", "from .train import x"],
)
def test_checker_sees_cycles(tree, back):
    src = tree(
        {
            "meta/__init__.py": "from kshot.meta.task import Task",
            "meta/task.py": back,
            "meta/train.py": "from kshot.meta.task import Task",
        }
    )
    assert "kshot.meta.task" in cycle(src)

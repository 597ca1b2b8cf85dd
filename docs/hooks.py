"""Pages of the manual written elsewhere: README, CONTRIBUTING, CHANGELOG, and the reference."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT = Path(__file__).parent.parent
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """mkdocs event: the files found under docs/, to which the generated ones are added."""
    for source, page in PAGES.items():
        text = relink((ROOT / source).read_text())
        files.append(File.generated(config, page, content=text))
    for path, module in public_modules(ROOT / "src"):
        page = f"reference/{module.removeprefix('kshot.')}.md"
        files.append(File.generated(config, page, content=reference(path, module)))
    return files


def relink(text: str) -> str:
    """Links of a file in the repository's root, as seen from docs/."""
    for source, page in PAGES.items():
        text = text.replace(f"]({source}", f"]({page}")
    return re.sub(r"""(\]\(|src=["'])docs/""", r"\1", text)


def reference(path: Path, module: str) -> str:
    """One page: what the module exports, from its docstrings."""
    names = [module]
    if path.name == "__init__.py":
        # `rules/sgd.py` hides the function `sgd` that `rules` re-exports from it: name it in full
        hidden = [name for name in exported(path) if name in defined(path.parent / f"{name}.py")]
        names += [f"{module}.{name}.{name}" for name in hidden]
    return f"# {module}\n\n" + "\n".join(f"::: {name}\n" for name in names)


def public_modules(src: Path) -> Iterator[tuple[Path, str]]:
    """Every public package, and what it exports of its modules: all if it has no `__all__`."""
    for path in sorted((src / "kshot").rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        parts = parts[:-1] if is_package else parts
        names = exported(path.parent / "__init__.py")
        shown = is_package or not names or (path.stem in names and path.stem not in defined(path))
        if shown and len(parts) > 1 and not any(part.startswith("_") for part in parts):
            yield path, ".".join(parts)


def exported(path: Path) -> list[str]:
    """The names in a file's `__all__`."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=names):
                return ast.literal_eval(names)
    return []


def defined(path: Path) -> set[str]:
    """The functions and classes of a file; none if there is no file."""
    body = ast.parse(path.read_text()).body if path.exists() else []
    return {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}

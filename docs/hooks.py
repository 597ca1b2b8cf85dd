"""Pages of the manual written elsewhere: README, CONTRIBUTING, CHANGELOG, and the reference."""

from __future__ import annotations

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
    for module in public_modules(ROOT / "src"):
        page = f"reference/{module.removeprefix('kshot.')}.md"
        files.append(File.generated(config, page, content=f"# {module}\n\n::: {module}\n"))
    return files


def relink(text: str) -> str:
    """Links of a file in the repository's root, as seen from docs/."""
    for source, page in PAGES.items():
        text = text.replace(f"]({source}", f"]({page}")
    return re.sub(r"""(\]\(|src=["'])docs/""", r"\1", text)


def public_modules(src: Path) -> Iterator[str]:
    """kshot's packages two levels deep: `kshot.meta` and `kshot.meta.rules`, not every file."""
    for path in sorted((src / "kshot").rglob("*.py")):
        parts = path.relative_to(src).with_suffix("").parts
        is_package = parts[-1] == "__init__"
        parts = parts[:-1] if is_package else parts
        public = not any(part.startswith("_") for part in parts)
        if public and (len(parts) == 2 or (len(parts) == 3 and is_package)):
            yield ".".join(parts)

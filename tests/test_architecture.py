"""What `docs/architecture.md` says of the package."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[1]


def rooms() -> dict[str, int]:
    """Module or package below `tfrec` -> its place in the table, the lowest first."""
    lines = (PROJECT / "docs" / "architecture.md").read_text().splitlines()
    rows = [line.split("|")[1] for line in lines if line.startswith("| `tfrec/")]
    listed = [re.findall(r"`tfrec/(\w+)", row) for row in rows]
    return {name: place for place, names in enumerate(listed) for name in names}


def imports(file: Path) -> Iterator[str]:
    """The modules and packages below `tfrec` that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found = [node.module]
        elif isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        else:
            continue
        yield from (name.split(".")[1] for name in found if name.startswith("tfrec."))


def test_a_room_imports_only_from_those_above_it() -> None:
    place, package = rooms(), PROJECT / "tfrec"
    files = [file for file in package.rglob("*.py") if file.parent != package or file.stem in place]
    assert len(files) > 100

    against = {
        f"{file.relative_to(PROJECT)} imports {name}"
        for file in files
        for name in imports(file)
        if place[name] > place[file.relative_to(package).with_suffix("").parts[0]]
    }

    assert against == set()

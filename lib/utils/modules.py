"""The modules that a module of this project imports, read from the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable
from pathlib import Path

from lib.utils.files import read_bytes


def imported_modules(root: Path, names: Iterable[str], without: Collection[str] = ()) -> dict[str, Path]:
    """These modules and all that they import, directly or indirectly, as far as they are files below a folder.

    root: the folder; names: dotted names; without: names that are left out. Returns name -> file, sorted.
    """
    found: dict[str, Path] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        path = module_file(root, name)
        if name in found or name in without or path is None:
            continue
        found[name] = path
        todo += [name for names in imports(path) for name in names]
    return {name: path for name, path in sorted(found.items()) if path.name != "__init__.py" or path.stat().st_size}


def module_file(root: Path, name: str) -> Path | None:
    """The file of a module below a folder; None if there is none."""
    place = root.joinpath(*name.split("."))
    return next((path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()), None)


def imports(path: Path) -> Iterable[list[str]]:
    """For each import statement: the module, followed by the dotted names imported from it."""
    return imports_among(ast.walk(ast.parse(read_bytes(path))))


def imports_among(nodes: Iterable[ast.AST]) -> Iterable[list[str]]:
    """The same for the import statements among nodes of a syntax tree."""
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            continue
        if isinstance(node, ast.Import):
            yield from ([alias.name] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]

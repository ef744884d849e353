"""Lines of an OSTrack-style host that PyTorch 2 or Python 3.10 cannot import, and their modern equivalents."""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

SIX = {"string_classes": "(str, bytes)", "int_classes": "int"}  # names of torch._six and their values
MODERNISED = (  # (pattern of an outdated line, modern equivalent); the last one only completes the others
    (
        rf"^([ \t]*)from torch\._six import ((?:{'|'.join(SIX)})(?:, *(?:{'|'.join(SIX)}))*)(?=\s*$)",
        lambda m: _assigned(*m.groups()),
    ),
    (r"\bcollections\.(Mapping|Sequence)\b", r"collections.abc.\1"),
    (
        r"^([ \t]*)from collections import ((?:Mapping|Sequence)(?:, *(?:Mapping|Sequence))*)(?=\s*$)",
        r"\1from collections.abc import \2",
    ),
    (r"^import collections$", "import collections.abc"),
)
NAMED_ONLY = r"\btorch\._six\b"  # further outdated lines, which are not changed


def outdated_lines(host: Path) -> list[str]:
    """List the lines of a host that PyTorch 2 or Python 3.10 cannot import, as "file:number: line"."""
    return [
        f"{path}:{number}: {line.strip()}"
        for path, text in _sources(host)
        for number, line in enumerate(text.splitlines(), start=1)
        if any(re.search(old, line) for old in (*(old for old, _ in MODERNISED[:-1]), NAMED_ONLY))
    ]


def modernised(host: Path) -> dict[PurePosixPath, tuple[str, str]]:
    """The files of a host with outdated lines: path -> (current text, text with modern lines)."""
    changes = {}
    for path, text in _sources(host):
        if any(re.search(old, text, re.MULTILINE) for old, _ in MODERNISED[:-1]):
            new = text
            for old, now in MODERNISED:
                new = re.sub(old, now, new, flags=re.MULTILINE)
            changes[path] = text, new
    return changes


def _assigned(indent: str, names: str) -> str:
    """The line that assigns the values of SIX to names that are separated by commas."""
    return f"{indent}{names} = {', '.join(SIX[name.strip()] for name in names.split(','))}"


def as_diff(changes: Mapping[PurePosixPath, tuple[str, str]]) -> str:
    """Format changes as a unified diff. changes: path -> (old text, new text)."""
    parts = []
    for path, (old, new) in changes.items():
        parts += difflib.unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}", n=0)
    return "".join(parts)


def _sources(host: Path) -> Iterable[tuple[PurePosixPath, str]]:
    for file in sorted((host / "lib").rglob("*.py")):
        with file.open(encoding="utf-8", newline="", errors="surrogateescape") as stream:
            yield PurePosixPath(file.relative_to(host).as_posix()), stream.read()

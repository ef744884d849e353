"""Puts the project's root in sys.path; writes the flat JSON of a benchmark's figures."""

import json
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))


def report(figures: dict[str, float], file: str | None) -> None:
    """Print the figures as a table, and write them as JSON where a file is named."""
    for name, value in figures.items():
        print(f"{name:<28}{value:>12.4g}")
    if file:
        Path(file).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")

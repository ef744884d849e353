"""Log messages of the project: the logger "sdtrack", on stderr, from rank 0 only.

A module writes to `logging.getLogger("sdtrack")`; whoever imports it decides what is shown. Commands, and the config of
an exported plugin, call set_up_logging.
"""

from __future__ import annotations

import logging
import os
import sys

LOGGER = logging.getLogger("sdtrack")


class _Formatter(logging.Formatter):
    """Messages as they are; warnings and errors with their level in front."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"{record.levelname.lower()}: {text}" if record.levelno >= logging.WARNING else text


def set_up_logging() -> None:
    """Show the project's messages on stderr: all of them in the first process of torchrun (or where there is no
    torchrun), errors only in the others."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(logging.ERROR if int(os.environ.get("RANK", "0")) else logging.INFO)

"""Log messages of the project: logger "sdtrack", written to stderr; other ranks than 0 write errors only.

Modules log to `logging.getLogger("sdtrack")`; the importing program decides what is shown. Commands, and the config of
an exported plugin, call set_up_logging.
"""

from __future__ import annotations

import logging
import os
import sys

LOGGER = logging.getLogger("sdtrack")


class _Formatter(logging.Formatter):
    """Leaves messages unchanged, but prefixes warnings and errors with their level."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"{record.levelname.lower()}: {text}" if record.levelno >= logging.WARNING else text


def set_up_logging() -> None:
    """Write the project's messages to stderr: from level INFO on in rank 0 and without torchrun, only errors in other
    ranks. Replaces existing handlers of the logger."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter())
    LOGGER.handlers[:] = [handler]
    LOGGER.propagate = False
    LOGGER.setLevel(logging.ERROR if int(os.environ.get("RANK", "0")) else logging.INFO)

"""What all commands share: common arguments, and errors that end with one clear line and exit code 1."""

import argparse
import sys
from collections.abc import Callable

from lib.errors import SDTrackError


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's main function and end the process with its exit code.

    The project's errors are printed without a traceback; anything else is a defect and keeps it.
    """
    try:
        code = main()
    except SDTrackError as error:
        print(f"error: {error}", file=sys.stderr)
        code = 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code or 0)


def add_path_arguments(parser: argparse.ArgumentParser) -> None:
    """--data_dir and --save_dir."""
    parser.add_argument("--data_dir", help="folder with one folder a data set (got10k, lasot, otb, ...)")
    parser.add_argument("--save_dir", help="folder for checkpoints, results, logs and plots")


def add_override_argument(parser: argparse.ArgumentParser) -> None:
    """--set KEY=VALUE ..."""
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", dest="overrides", help="config values to change"
    )

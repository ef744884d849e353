"""Shared by all commands: common arguments, and errors that end with a one-line message and exit code 1."""

import argparse
import errno
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from tqdm.contrib.logging import logging_redirect_tqdm

from lib.errors import SDTrackError
from lib.utils.logs import LOGGER, set_up_logging

ENDING = (signal.SIGTERM, signal.SIGHUP)  # signals that end a command as Ctrl-C does
STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE}


def run_command(main: Callable[[], int | None]) -> None:
    """Run a command's main function and exit with its exit code.

    The project's errors, and OSErrors of storage that is full, read-only or broken, are logged without a traceback; the
    exit code is then 1. Any other exception is a defect and keeps its traceback. SIGTERM, and SIGHUP of a terminal that
    is closed, end a command as Ctrl-C does, with exit code 143 or 129 instead of 130.
    """
    for number in ENDING:
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminate)
    for stream in (sys.stdout, sys.stderr):
        if stream.errors == "strict":  # characters that a terminal cannot show must not end a run
            stream.reconfigure(errors="replace")
    set_up_logging()
    try:
        with logging_redirect_tqdm([LOGGER]):  # keeps messages from breaking a progress bar
            code = main()
    except SDTrackError as error:
        LOGGER.error(error)
        code = 1
    except OSError as error:
        if error.errno not in STORAGE:
            raise
        LOGGER.error("%s: %s", error.filename or "the output", error.strerror)
        code = 1
    except Terminated as error:
        LOGGER.warning("interrupted by %s", error.number.name)
        code = 128 + error.number
    except KeyboardInterrupt:
        LOGGER.warning("interrupted")
        code = 128 + signal.SIGINT
    finally:
        for number in ENDING:
            if signal.getsignal(number) is _terminate:  # a second signal may cut the clean-up short
                signal.signal(number, signal.SIG_DFL)
    sys.exit(code or 0)


class Terminated(KeyboardInterrupt):
    """Raised when the process receives one of ENDING, which is its `number`."""

    def __init__(self, number: int):
        super().__init__()
        self.number = signal.Signals(number)


def _terminate(number, _frame) -> None:
    raise Terminated(number)


def add_path_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --data_dir and --save_dir."""
    parser.add_argument("--data_dir", help="folder with one folder per data set (got10k, lasot, otb, ...)")
    parser.add_argument("--save_dir", help="folder for checkpoints, results, logs and plots")


def add_tracker_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the tracker's script and config, and the arguments of add_weight_arguments."""
    parser.add_argument("tracker_name", help="script name of the tracker, such as sdtrack or static")
    parser.add_argument("tracker_param", help="config of the tracker, such as demo")
    add_weight_arguments(parser)


def add_weight_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --checkpoint, --device, --backend, --set, --data_dir and --save_dir."""
    parser.add_argument("--checkpoint", help="weights file to use instead of the trained one below save_dir")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; default: the GPU if there is one")
    add_backend_argument(parser)
    add_override_argument(parser)
    add_path_arguments(parser)


def tracker_options(args: argparse.Namespace, save_dir: Path) -> dict:
    """Convert the arguments of add_weight_arguments to the options of a tracker's parameters()."""
    return {
        "checkpoint": args.checkpoint,
        "save_dir": save_dir,
        "overrides": args.overrides,
        "device": args.device,
        "backend": args.backend,
    }


def add_backend_argument(parser: argparse.ArgumentParser, default: str | None = "auto") -> None:
    """Add --backend NAME."""
    parser.add_argument(
        "--backend",
        default=default,
        metavar="NAME",
        help="what runs the network on each frame: torch, torch-bf16, torch-compile, torch-compile-bf16; on a GPU "
        "also cuda-graph, cuda-graph-bf16; on the CPU also onnxruntime, onnxruntime-int8, openvino, openvino-bf16; "
        "auto: cuda-graph on a GPU, torch on a CPU",
    )


def add_depth_argument(parser: argparse.ArgumentParser) -> None:
    """Add --depth first|full."""
    parser.add_argument(
        "--depth",
        default="first",
        choices=["first", "full"],
        help="range of 16-bit frames that becomes 0 to 255: first: the 0.5 to 99.5 percentile of the first frame; "
        "full: the whole range of the type",
    )


def add_override_argument(parser: argparse.ArgumentParser) -> None:
    """Add --set KEY=VALUE ...; the values go to args.overrides."""
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="config values to override",
    )

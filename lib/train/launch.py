"""Starts a training run in several processes with torchrun, and passes its exit codes and signals through."""

import logging
import os

import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from lib.errors import TrainingError

logger = logging.getLogger("sdtrack")

LOCAL = ("--standalone",)
SHUTDOWN_S = 120  # seconds that processes have to finish their step and save after a signal to stop


def launch(script: str, arguments: list[str], nproc_per_node: int, where: tuple[str, ...] = LOCAL) -> int:
    """Run `script arguments` in nproc_per_node processes on this machine and return the exit code.

    The code is 0 on success, the code of the process that failed first (128 + the signal that killed it), or 128 + the
    signal that ended the run; torchrun forwards that signal and waits for the processes. where: the torchrun options
    that define which machines take part. Raises TrainingError if torchrun cannot start.
    """
    # if OMP_NUM_THREADS is not set, torchrun sets it to 1 and prints a long warning
    threads = 1 if torch.cuda.is_available() else max(1, (os.cpu_count() or 1) // nproc_per_node)
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(SHUTDOWN_S))
    options = [*where, f"--nproc-per-node={nproc_per_node}", script, *arguments]
    try:
        torchrun.run(torchrun.parse_args(options))
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    except ChildFailedError as failed:
        rank, failure = failed.get_first_failure()
        logger.error("process %d of the training failed; its error message is printed above", rank)
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except (RuntimeError, ValueError, OSError) as error:
        raise TrainingError(
            f"torchrun cannot start with {' '.join(options[: -1 - len(arguments)])}: {error}"
        ) from error
    return 0

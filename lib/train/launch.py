"""Starts a training on several processes: torchrun, with its exit codes and signals passed through."""

import logging
import os

import torch
from torch.distributed import run as torchrun
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from lib.errors import TrainingError

logger = logging.getLogger("sdtrack")

LOCAL = ("--standalone",)
SHUTDOWN_S = 120  # how long processes that were told to stop have, to finish their step and save


def launch(script: str, arguments: list[str], nproc_per_node: int, where: tuple[str, ...] = LOCAL) -> int:
    """Run `script arguments` in nproc_per_node processes of this machine and return the exit code: 0, that of the
    process that failed first, or 128 + the signal that ended the run (to which the processes have answered before).

    where: torchrun's options that say which machines take part.
    """
    # without it torchrun takes 1, and says so at length
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
        logger.error("process %d of the training failed; its own error stands above", rank)
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except (RuntimeError, ValueError, OSError) as error:
        raise TrainingError(
            f"torchrun does not start with {' '.join(options[: -1 - len(arguments)])}: {error}"
        ) from error
    return 0

"""The processes that torchrun started, for training and evaluation: their ranks, and the values they exchange.

Without torchrun there is one process, and the methods involve no others.
"""

import atexit
import os
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from lib.errors import ConfigError, SDTrackError, TrainingError
from lib.utils.device import choose_device

EXIT_DELAY_S = 3  # exit delay of a rank that failed only because of another one
Item = TypeVar("Item")


class Processes:
    """This process, number `rank` of `world_size`; local_rank: its number on this machine.

    The methods first, any, gather and close are collective: every process has to call them, in the same order. In the
    first three a process waits at most timeout_s seconds for the others.
    """

    def __init__(self, rank: int = 0, world_size: int = 1, local_rank: int = 0, timeout_s: float = 1800):
        self.rank = rank
        self.world_size = world_size
        self.local_rank = local_rank
        # exchanges small values over the CPU, so that the GPUs do not wait for them
        self._control = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout_s)) if world_size > 1 else None

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes logs, checkpoints and notes."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This rank's share of the items: every world_size-th one, starting with number `rank`."""
        return list(items[self.rank :: self.world_size])

    def first(self, action: Callable[[], Any]) -> Any:
        """Run action in rank 0 and return its result in every rank.

        If it raises one of the project's errors, rank 0 raises that error, and the other ranks exit with code 1 and no
        message.
        """
        answer, error = None, None
        if self.is_first:
            try:
                answer = action()
            except SDTrackError as caught:
                error = caught
        if self.world_size > 1:
            box = [answer, error is not None]
            dist.broadcast_object_list(box, group=self._control)
            answer = box[0]
            if box[1] and not self.is_first:
                self.delay_exit()
                raise SystemExit(1)
        if error is not None:
            raise error
        return answer

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in at least one process."""
        if self.world_size == 1:
            return flag
        together = torch.tensor([int(flag)])
        dist.all_reduce(together, op=dist.ReduceOp.MAX, group=self._control)
        return bool(together)

    def gather(self, value: Any) -> list[Any]:
        """The values of all processes, ordered by rank. Waits for the slowest process."""
        if self.world_size == 1:
            return [value]
        values = [None] * self.world_size
        dist.all_gather_object(values, value, group=self._control)
        return values

    def delay_exit(self) -> None:
        """Delay the exit of this process by EXIT_DELAY_S, so that torchrun blames the rank that failed first.

        torchrun stops the run when the first process fails, and reports that one. A rank that fails only because
        another one is gone calls this; it stays in the group until it exits (the delay is registered with atexit).
        """
        if self.world_size > 1:
            atexit.register(time.sleep, EXIT_DELAY_S)

    def close(self) -> None:
        """Leave the group."""
        if self.world_size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join_processes(timeout_s: float, device: torch.device | None = None) -> Processes:
    """Join the process group of torchrun; without torchrun, return a group of this process only.

    device: the one on which gradients are exchanged (nccl on a GPU, else gloo); None: gradients are not exchanged. A
    process that waits longer than timeout_s seconds for the others raises an error instead of hanging. Raises
    TrainingError if the processes do not find each other.
    """
    rank, local_rank, world_size = launched_as()
    if world_size == 1:
        return Processes()
    backend = "nccl" if device is not None and device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_s))
        return Processes(rank, world_size, local_rank, timeout_s)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the {world_size} processes of torchrun cannot connect to each other ({error})") from error


def launched_as() -> tuple[int, int, int]:
    """Rank, local rank and world size from the environment variables of torchrun; 0, 0, 1 without torchrun."""
    world_size = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    if world_size == 1:
        return 0, 0, 1
    return int(os.environ["RANK"]), int(os.environ.get("LOCAL_RANK", "0")), world_size


def training_device(name: str | None) -> torch.device:
    """The device of this process. A single process: as choose_device.

    Several processes: one GPU per process, or the CPU if it is named or there is no GPU. Raises ConfigError for other
    names, and if there are more processes than GPUs.
    """
    _, local_rank, world_size = launched_as()
    if world_size == 1:
        return choose_device(name)
    if name == "cpu" or (name is None and not torch.cuda.is_available()):
        return torch.device("cpu")
    if name not in (None, "cuda"):
        raise ConfigError(f"--device {name}: several processes use one GPU each; give cuda or cpu")
    count, wanted = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if wanted > count:
        raise ConfigError(
            f"--nproc_per_node {wanted}: there are only {count} GPUs here; start at most one process per GPU, or "
            "give --device cpu"
        )
    chosen = choose_device(f"cuda:{local_rank}")
    torch.cuda.set_device(chosen)
    return chosen


def tracking_device(processes: Processes) -> str | None:
    """The GPU of this process if torchrun started several (they may share GPUs); None: left to the tracker."""
    if processes.world_size == 1 or not torch.cuda.is_available():
        return None
    return f"cuda:{processes.local_rank % torch.cuda.device_count()}"

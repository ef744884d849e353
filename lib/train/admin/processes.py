"""The processes of a training run: one, or several that torchrun has started."""

import atexit
import os
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist

from lib.errors import ConfigError, SDTrackError, TrainingError
from lib.utils.device import choose_device

LINGER_S = 3  # how much later a process ends that another may have ended


class Processes:
    """This process among `world_size`. With one process every method is the obvious local thing.

    All methods are collective: every process calls them, in the same order.
    """

    def __init__(self, rank: int = 0, world_size: int = 1, timeout_s: float = 1800):
        self.rank = rank
        self.world_size = world_size
        # for small values, over the CPU: they do not make the GPUs wait
        self._control = dist.new_group(backend="gloo", timeout=timedelta(seconds=timeout_s)) if world_size > 1 else None

    @property
    def is_first(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def first(self, action: Callable[[], Any]) -> Any:
        """What action returns in the first process, everywhere. Where it raises one of the project's errors, the first
        process raises it and the others end quietly with exit code 1."""
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
                self.linger()
                raise SystemExit(1)
        if error is not None:
            raise error
        return answer

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        if self.world_size == 1:
            return flag
        together = torch.tensor([int(flag)])
        dist.all_reduce(together, op=dist.ReduceOp.MAX, group=self._control)
        return bool(together)

    def gather(self, value: Any) -> list[Any]:
        """The value of every process, by rank."""
        if self.world_size == 1:
            return [value]
        values = [None] * self.world_size
        dist.all_gather_object(values, value, group=self._control)
        return values

    def linger(self) -> None:
        """For a process that may end because of another: end late, in the group until then.

        torchrun stops the run at the first process that ends and names it. Those that fail because one is gone do so
        after it, and linger: it finds the one with the cause.
        """
        if self.world_size > 1:
            atexit.register(time.sleep, LINGER_S)

    def close(self) -> None:
        """Leave the group."""
        if self.world_size > 1 and dist.is_initialized():
            dist.destroy_process_group()


def join_processes(device: str | None, timeout_s: float) -> tuple[Processes, torch.device]:
    """The processes that torchrun's environment describes, or this one alone; and this one's device.

    A process that waits longer than timeout_s for the others raises an error instead of hanging. nccl on GPUs, else
    gloo.
    """
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Processes(), choose_device(device)
    rank, local_rank, world_size = (int(os.environ[key]) for key in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    chosen = _own_device(device, local_rank)
    timeout = timedelta(seconds=timeout_s)
    try:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=timeout)
        return Processes(rank, world_size, timeout_s), chosen
    except (RuntimeError, ValueError) as error:
        raise TrainingError(f"the {world_size} processes do not find each other ({error})") from error


def _own_device(device: str | None, local_rank: int) -> torch.device:
    """The GPU of this process, or the CPU where there is none or it is asked for."""
    if device == "cpu" or (device is None and not torch.cuda.is_available()):
        return torch.device("cpu")
    if device not in (None, "cuda"):
        raise ConfigError(f"--device {device}: several processes take a GPU each; say cuda or cpu")
    count, wanted = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if wanted > count:
        raise ConfigError(f"--nproc_per_node {wanted}: there are only {count} GPUs here; take as many, or --device cpu")
    chosen = choose_device(f"cuda:{local_rank}")
    torch.cuda.set_device(chosen)
    return chosen

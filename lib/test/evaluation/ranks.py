"""Sharing a data set over the processes of torchrun, on one host or many."""

import os
from collections.abc import Callable
from collections.abc import Sequence as Collection
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed

from lib.errors import SDTrackError, TrackingError
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.running import RunSummary

PATIENCE = timedelta(days=7)  # how long the first process to end waits for the last


@dataclass(frozen=True)
class Ranks:
    """This process among those that torchrun started; one of one where there is no torchrun."""

    rank: int = 0
    number: int = 1
    local_rank: int = 0

    def share(self, sequences: Collection[Sequence]) -> list[Sequence]:
        """Every number-th sequence, from this rank's on."""
        return list(sequences[self.rank :: self.number])

    def device(self) -> str | None:
        """The GPU of this process, where torchrun started several and there are GPUs."""
        return (
            f"cuda:{self.local_rank % torch.cuda.device_count()}"
            if self.number > 1 and torch.cuda.is_available()
            else None
        )

    def once(self, action: Callable[[], object]) -> None:
        """Rank 0 acts while the others wait. An error of the project's is raised in all of them."""
        error: SDTrackError | None = None
        if self.rank == 0:
            try:
                action()
            except SDTrackError as caught:
                error = caught
        if self.number > 1:
            told = [error]
            distributed.broadcast_object_list(told)
            error = told[0]
        if error is not None:
            raise error

    def gather(self, summary: RunSummary) -> RunSummary:
        """What all ranks did, told to each. Waits for the slowest, so that no failure ends the others early."""
        if self.number == 1:
            return summary
        parts: list[RunSummary | None] = [None] * self.number
        distributed.all_gather_object(parts, summary)
        distributed.destroy_process_group()
        total = RunSummary()
        for part in parts:
            total.add(part)
        return total


def join_ranks() -> Ranks:
    """Meet the other processes of torchrun. Raises TrackingError where its environment is incomplete."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return Ranks()
    try:
        distributed.init_process_group("gloo", timeout=PATIENCE)
    except (ValueError, RuntimeError) as error:
        raise TrackingError(f"torchrun's other processes cannot be met: {error}") from error
    return Ranks(distributed.get_rank(), distributed.get_world_size(), int(os.environ.get("LOCAL_RANK", 0)))

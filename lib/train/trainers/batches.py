"""Iterates over the batches of a DataLoader and turns failures of its worker processes into DataError."""

from collections.abc import Callable, Iterator

from torch import Tensor
from torch.utils.data import DataLoader

from lib.errors import DataError

Batch = dict[str, Tensor]
WORKER_FAILURES = ("DataLoader worker (pid", "DataLoader timed out")  # PyTorch raises a RuntimeError for both


def batches_of(loader: DataLoader, may_end: Callable[[], bool]) -> Iterator[Batch]:
    """Iterate over the batches of a loader. If its collate function returns an error instead of a batch, raise it.

    may_end: called if a worker has died; True ends the batches without an error, because the signal that stops the run
    has also stopped the workers. Raises DataError for any other worker that died or timed out.
    """
    try:
        for batch in loader:
            if isinstance(batch, Exception):
                raise batch
            yield batch
    except RuntimeError as error:
        if not str(error).startswith(WORKER_FAILURES):
            raise
        if may_end():
            return
        raise DataError(
            f"a data loader's worker process died or returned no batch for {loader.timeout:.0f} s ({error}). If memory "
            "ran out, lower TRAIN.NUM_WORKER; if /dev/shm is full, enlarge it; if the storage does not answer, see "
            "docs/SCALE.md"
        ) from error

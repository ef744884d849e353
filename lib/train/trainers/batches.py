"""The batches of a DataLoader, with the failures of its worker processes as errors of the project."""

from collections.abc import Callable, Iterator

from torch import Tensor
from torch.utils.data import DataLoader

from lib.errors import DataError

Batch = dict[str, Tensor]
WORKER_FAILURES = ("DataLoader worker (pid", "DataLoader timed out")  # PyTorch raises a RuntimeError for both


def batches_of(loader: DataLoader, may_end: Callable[[], bool]) -> Iterator[Batch]:
    """The batches of a loader whose collate function returns a batch, or an error in its place, which is raised.

    may_end: asked when a worker has died: whether the batches may end there, because a signal stopped the workers as
    well. Raises DataError for a worker that died or timed out otherwise.
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
            f"a loader's worker process died or gave nothing for {loader.timeout:.0f} s ({error}). Too little "
            "memory: lower TRAIN.NUM_WORKER; a full /dev/shm: enlarge it; storage that does not answer: see "
            "docs/SCALE.md"
        ) from error

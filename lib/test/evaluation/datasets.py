"""Names of test data sets and how they are opened."""

from collections.abc import Callable
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.folderdataset import folder_sequences
from lib.test.evaluation.got10kdataset import got10k_sequences
from lib.test.evaluation.otbdataset import otb_sequences
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.utils.local_paths import LocalPaths

DATASETS: dict[str, Callable[[LocalPaths], list[Sequence]]] = {
    "otb": lambda paths: otb_sequences(paths.dataset("otb")),
    "got10k_val": lambda paths: got10k_sequences(paths.dataset("got10k"), "val"),
    "got10k_test": lambda paths: got10k_sequences(paths.dataset("got10k"), "test"),
    "synthetic": lambda _paths: synthetic_sequences(),
}


def get_dataset(name: str, paths: LocalPaths, sequence: str | None = None) -> list[Sequence]:
    """The sequences of a data set: a name of DATASETS, or "folder:PATH". sequence: only the one of this name.

    Raises DataError where the data set or the sequence is not there.
    """
    if name.startswith("folder:"):
        sequences = folder_sequences(Path(name.removeprefix("folder:")).expanduser())
    elif name in DATASETS:
        sequences = DATASETS[name](paths)
    else:
        raise DataError(f"there is no data set '{name}'; there are: {', '.join(DATASETS)}, folder:PATH")
    if sequence is None:
        return sequences
    chosen = [item for item in sequences if item.name == sequence]
    if not chosen:
        names = ", ".join(item.name for item in sequences[:8])
        raise DataError(f"{name} has no sequence '{sequence}'; it has {len(sequences)}: {names} ...")
    return chosen


def dataset_folder(name: str) -> str:
    """The folder of a data set's results: its name, for "folder:PATH" folder_<last part>."""
    return f"folder_{Path(name.removeprefix('folder:')).name}" if name.startswith("folder:") else name

"""Names of test data sets and how they are opened."""

from collections import Counter
from collections.abc import Callable
from collections.abc import Sequence as Collection
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.folderdataset import folder_sequences, ground_truth_sequences
from lib.test.evaluation.got10kdataset import got10k_sequences
from lib.test.evaluation.lasotdataset import lasot_extension_sequences, lasot_sequences
from lib.test.evaluation.listeddataset import listed_sequences
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.test.evaluation.tnl2kdataset import tnl2k_sequences
from lib.test.evaluation.trackingnetdataset import trackingnet_sequences
from lib.test.vot.vot2020dataset import vot2020_sequences
from lib.utils.local_paths import LocalPaths

DATASETS: dict[str, tuple[str, Callable[[Path], list[Sequence]]]] = {  # folder below data_dir, how it is opened
    "otb": ("otb", lambda root: listed_sequences(root, "otb")),
    "uav": ("uav", lambda root: listed_sequences(root, "uav")),
    "nfs": ("nfs", lambda root: listed_sequences(root, "nfs")),
    "lasot": ("lasot", lasot_sequences),
    "lasot_extension_subset": ("lasot_ext", lasot_extension_sequences),
    "got10k_val": ("got10k", lambda root: got10k_sequences(root, "val")),
    "got10k_test": ("got10k", lambda root: got10k_sequences(root, "test")),
    "trackingnet": ("trackingnet", trackingnet_sequences),
    "tnl2k": ("tnl2k", tnl2k_sequences),
    "vot2020": ("vot2020", vot2020_sequences),
    "synthetic": ("", lambda _root: synthetic_sequences()),
}
SUFFIXES = ("_time", "_score")  # of a sequence's further result files
FOLDERS = {"folder": folder_sequences, "truth": ground_truth_sequences}
NAMES = f"{', '.join(DATASETS)}, folder:PATH (<sequence>/img/*.jpg), truth:PATH (<sequence>.txt, for scoring alone)"


def get_dataset(name: str, paths: LocalPaths, sequence: str | None = None) -> list[Sequence]:
    """The sequences of a data set: a name of DATASETS, "folder:PATH" or "truth:PATH". sequence: only the one of this
    name or, where there is none, of this number, from 0.

    Raises DataError where the data set or the sequence is not there, and where the result files of two sequences would
    have the same name.
    """
    check_name(name)
    open_dataset = DATASETS[name][1] if name in DATASETS else FOLDERS[name.partition(":")[0]]
    sequences = open_dataset(dataset_root(name, paths))
    check_sequence_names([item.name for item in sequences], name)
    if sequence is None:
        return sequences
    chosen = [item for item in sequences if item.name == sequence]
    if not chosen and sequence.isdecimal():
        chosen = sequences[int(sequence) :][:1]
    if not chosen:
        names = ", ".join(item.name for item in sequences[:8])
        raise DataError(f"{name} has no sequence '{sequence}'; it has {len(sequences)}: {names} ...")
    return chosen


def check_name(name: str) -> None:
    """Raises DataError for a name that get_dataset does not know."""
    kind, _, path = name.partition(":")
    if name not in DATASETS and not (kind in FOLDERS and path):
        raise DataError(f"there is no data set '{name}'; there are: {NAMES}")


def check_sequence_names(names: Collection[str], dataset: str) -> None:
    """Raise DataError where one of the names is there twice, or where one sequence's boxes would be named as another
    one's times or scores."""
    for name, count in Counter(names).items():
        clash = name if count > 1 else next((name + end for end in SUFFIXES if name + end in names), None)
        if clash:
            raise DataError(
                f"{dataset}: sequences {name} and {clash} would have a result file of the same name; rename one of them"
            )


def dataset_folder(name: str) -> str:
    """The folder of a data set's results: its name; of "folder:PATH", folder_<last part>."""
    kind, colon, path = name.partition(":")
    if not colon:
        return name
    last = Path(path).name
    return f"{kind}_{last if last not in ('', '..') else Path(path).resolve().name}"


def dataset_root(name: str, paths: LocalPaths) -> Path:
    """The folder that a data set is in; of one without files, data_dir."""
    kind, _, path = name.partition(":")
    return Path(path).expanduser() if kind in FOLDERS else paths.dataset(DATASETS[name][0])


def dataset_identity(name: str) -> str:
    """What says which data set is meant, wherever the command is typed: its name; folder:<absolute path>."""
    kind, colon, path = name.partition(":")
    return f"{kind}:{Path(path).expanduser().resolve()}" if colon else name

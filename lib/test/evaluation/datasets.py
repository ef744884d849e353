"""Names of the test data sets, and how to open them."""

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
from lib.utils.files import expanded
from lib.utils.local_paths import LocalPaths

DATASETS: dict[str, tuple[str, Callable[[Path], list[Sequence]]]] = {  # folder below data_dir, function that opens it
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
SUFFIXES = ("_time", "_score", "_present")  # suffixes of a sequence's other result files
FOLDERS = {"folder": folder_sequences, "truth": ground_truth_sequences}
NAMES = (
    f"{', '.join(DATASETS)}, folder:PATH (<sequence>/img/*.jpg or <sequence>/*.jpg), truth:PATH (<sequence>.txt, for "
    "scoring only)"
)


def get_dataset(name: str, paths: LocalPaths, sequence: str | None = None) -> list[Sequence]:
    """The sequences of a data set: a name of DATASETS, "folder:PATH" or "truth:PATH".

    sequence: return only the sequence of this name or, if no name matches, of this index from 0. Raises DataError if
    the data set or the sequence does not exist, or if the result files of two sequences would have the same name.
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
    """Raise DataError unless get_dataset supports this name."""
    kind, _, path = name.partition(":")
    if name not in DATASETS and not (kind in FOLDERS and path):
        raise DataError(f"there is no data set '{name}'; there are: {NAMES}")


def check_sequence_names(names: Collection[str], dataset: str) -> None:
    """Raise DataError if a name occurs twice, or if the box file of one sequence would have the name of another one's
    time, score or presence file."""
    for name, count in Counter(names).items():
        clash = name if count > 1 else next((name + end for end in SUFFIXES if name + end in names), None)
        if clash:
            raise DataError(
                f"{dataset}: sequences {name} and {clash} would have a result file of the same name; rename one of them"
            )


def dataset_folder(name: str) -> str:
    """Folder name of a data set's results: its name, or folder_<last part of PATH> for "folder:PATH"."""
    kind, colon, path = name.partition(":")
    if not colon:
        return name
    last = Path(path).name
    return f"{kind}_{last if last not in ('', '..') else Path(path).resolve().name}"


def dataset_root(name: str, paths: LocalPaths) -> Path:
    """The folder that contains a data set; data_dir for a data set without files."""
    kind, _, path = name.partition(":")
    return expanded(path) if kind in FOLDERS else paths.dataset(DATASETS[name][0])


def dataset_identity(name: str) -> str:
    """Identifier of a data set that does not depend on the working directory: its name, or folder:<absolute path>."""
    kind, colon, path = name.partition(":")
    return f"{kind}:{expanded(path).resolve()}" if colon else name

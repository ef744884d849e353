"""Names of test data sets and how they are opened."""

from collections.abc import Callable
from pathlib import Path

from lib.errors import DataError
from lib.test.evaluation.data import Sequence
from lib.test.evaluation.folderdataset import folder_sequences, truth_sequences
from lib.test.evaluation.got10kdataset import got10k_sequences
from lib.test.evaluation.lasotdataset import lasot_extension_sequences, lasot_sequences
from lib.test.evaluation.listeddataset import listed_sequences
from lib.test.evaluation.syntheticdataset import synthetic_sequences
from lib.test.evaluation.tnl2kdataset import tnl2k_sequences
from lib.test.evaluation.trackingnetdataset import trackingnet_sequences
from lib.test.evaluation.vot2020dataset import vot2020_sequences
from lib.utils.local_paths import LocalPaths

DATASETS: dict[str, Callable[[LocalPaths], list[Sequence]]] = {
    "otb": lambda paths: listed_sequences(paths.dataset("otb"), "otb"),
    "uav": lambda paths: listed_sequences(paths.dataset("uav"), "uav"),
    "nfs": lambda paths: listed_sequences(paths.dataset("nfs"), "nfs"),
    "lasot": lambda paths: lasot_sequences(paths.dataset("lasot")),
    "lasot_extension_subset": lambda paths: lasot_extension_sequences(paths.dataset("lasot_ext")),
    "got10k_val": lambda paths: got10k_sequences(paths.dataset("got10k"), "val"),
    "got10k_test": lambda paths: got10k_sequences(paths.dataset("got10k"), "test"),
    "trackingnet": lambda paths: trackingnet_sequences(paths.dataset("trackingnet")),
    "tnl2k": lambda paths: tnl2k_sequences(paths.dataset("tnl2k")),
    "vot2020": lambda paths: vot2020_sequences(paths.dataset("vot2020")),
    "synthetic": lambda _paths: synthetic_sequences(),
}
FOLDERS = {"folder": folder_sequences, "truth": truth_sequences}
NAMES = f"{', '.join(DATASETS)}, folder:PATH (<sequence>/img/*.jpg), truth:PATH (<sequence>.txt, for scoring alone)"


def get_dataset(name: str, paths: LocalPaths, sequence: str | None = None) -> list[Sequence]:
    """The sequences of a data set: a name of DATASETS, "folder:PATH" or "truth:PATH". sequence: only the one of this
    name or, where there is none, of this number, from 0.

    Raises DataError where the data set or the sequence is not there.
    """
    check_name(name)
    kind, _, path = name.partition(":")
    sequences = DATASETS[name](paths) if name in DATASETS else FOLDERS[kind](Path(path).expanduser())
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


def dataset_folder(name: str) -> str:
    """The folder of a data set's results: its name; of "folder:PATH", folder_<last part>."""
    kind, colon, path = name.partition(":")
    return f"{kind}_{Path(path).name}" if colon else name

"""Origin of results: origin.json beside them records how they were made, so that no other run mixes with them."""

import json
from collections.abc import Sequence as Collection
from pathlib import Path

from lib.errors import ResultError
from lib.test.evaluation.datasets import dataset_identity
from lib.test.evaluation.results import remove_result
from lib.utils.files import expanded, hold_folder, write_atomically
from lib.utils.parsing import parse_json

ORIGIN = "origin.json"  # file beside results of this project that records how they were made


def claim_folder(
    folder: Path, origin: dict, overwrite: bool, remedy: str = "--overwrite, or choose another --save_dir"
) -> None:
    """Record in folder/origin.json how its results are made: weights, overrides, data set.

    origin: everything that determines the boxes. Of a value that is a dictionary, such as "sequences", only the common
    keys are compared, and new keys are added. "data_dir" is recorded but not compared, since a data set may be moved.
    Raises ResultError if the folder holds results of another origin and overwrite is not set; otherwise a run would
    skip sequences that another network has tracked. overwrite: first remove all results of another origin, or only
    those of changed sequences, so that the folder never mixes two origins, even if the run is interrupted. remedy: end
    of the error message.
    """
    note = folder / ORIGIN
    before = read_origin(note) if note.is_file() else {}
    run, sequences = _differences(before, origin) if before else ([], {})
    if (run or sequences) and not overwrite:
        changed = [*run, *sequences.values()]
        more = f"; {len(changed) - 3} more" if len(changed) > 3 else ""
        raise ResultError(f"{folder} holds results of another run ({'; '.join(changed[:3])}{more}): {remedy}")
    if run:
        for file in folder.glob("*.txt"):
            file.unlink()
        before = {}
    for name in sequences:
        remove_result(folder, name)
    merged = {k: (before.get(k) or {}) | value if isinstance(value, dict) else value for k, value in origin.items()}
    write_atomically(note, lambda path: path.write_text(json.dumps(merged, indent=2), encoding="utf-8"))


def _differences(before: dict, origin: dict) -> tuple[list[str], dict[str, str]]:
    """Texts that describe the differences of two origins: those of the whole run, and sequence name -> difference."""
    run, sequences = [], {}
    for key in {**before, **origin}:
        there, now = before.get(key), origin.get(key)
        if isinstance(now, dict) and isinstance(there, dict | None):
            common = [name for name in there or {} if name in now]
            for name in common:
                if there[name] != now[name]:
                    sequences[name] = f"{name}: {there[name]} in the folder, {now[name]} now"
        elif there != now and key != "data_dir" and not (key == "dataset" and may_be_of(before, now)):
            run.append(f"{key}: {there} in the folder, {now} now")
    return run, sequences


def may_be_of(origin: dict, dataset: str) -> bool:
    """Whether results with this origin can belong to this data set (dataset_identity).

    Older versions recorded a folder as the user typed it. A relative one matches every folder with the same last part;
    the first boxes of the results are checked separately.
    """
    there = str(origin.get("dataset", ""))
    if "sequences" in origin or not there.startswith("folder:"):
        return there == dataset
    path = expanded(there.partition(":")[2])
    return dataset_identity(there) == dataset if path.is_absolute() else path.name in ("", Path(dataset).name)


def read_origin(note: Path) -> dict:
    """Content of an origin.json; {ORIGIN: "broken"} if it cannot be read."""
    try:
        before = parse_json(note.read_bytes())
    except (OSError, ValueError):
        before = None
    return before if isinstance(before, dict) else {ORIGIN: "broken"}


def claim_outputs(folder: Path, choices: Collection[Collection[Path]], source: str, overwrite: bool) -> int:
    """Choose output files for a source, record their owner in folder/origin.json, and return the index of the choice.

    choices: alternative sets of output files. The first set that this source owns is taken, else the first free one, so
    that two inputs of the same name do not replace each other's files. Raises ResultError if all sets belong to other
    sources or exist without a recorded source, unless overwrite is set, which takes the last set.
    """
    note = folder / ORIGIN
    with hold_folder(folder, wait=True):
        sources = read_origin(note) if note.is_file() else {}
        names = [[str(file.absolute()) for file in files] for files in choices]

        def taken_from(name: str) -> bool:
            return sources[name] != source if name in sources else Path(name).exists()

        own = [all(sources.get(name) == source for name in some) for some in names]
        taken = [next(filter(taken_from, some), None) for some in names]
        number = own.index(True) if any(own) else taken.index(None) if None in taken else len(names) - 1
        if taken[number] and not overwrite:
            name = taken[number]
            made = f"belongs to {sources[name]}" if name in sources else "is there already"
            raise ResultError(
                f"{name} {made} and would be overwritten: --overwrite, or choose another --save_dir or file name"
            )
        sources |= dict.fromkeys(names[number], source)
        write_atomically(note, lambda path: path.write_text(json.dumps(sources, indent=2), encoding="utf-8"))
    return number

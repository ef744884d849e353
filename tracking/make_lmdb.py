"""Pack a data set into one LMDB beside its folder: python tracking/make_lmdb.py --dataset_name lasot --data_dir D

One large file is faster to copy, and to read over a network, than millions of small ones. The command may be
interrupted at any time; run it again to continue. Training then reads D/lasot.lmdb (DATA.STORAGE: auto), and D/lasot
may be removed.
"""

import _init_paths  # noqa: F401

import argparse
import os
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from lib.errors import DataError
from lib.train.dataset.storage import lmdb_path, pack_lmdb
from lib.utils.cli import add_path_arguments, run_command
from lib.utils.files import expanded
from lib.utils.local_paths import local_paths

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".txt", ".label", ".ini", ".json", ".xml"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset_name", required=True, help="lasot, got10k, coco ... or folder:PATH")
    parser.add_argument("--to", help="LMDB to write; default: <data set>.lmdb beside its folder")
    add_path_arguments(parser)
    args = parser.parse_args()
    name = args.dataset_name
    paths = local_paths(args.data_dir, args.save_dir)
    root = expanded(name.removeprefix("folder:")).absolute() if name.startswith("folder:") else paths.dataset(name)
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder")
    to = Path(args.to) if args.to else lmdb_path(root)
    print(f"listing {root}", flush=True)
    folders = os.walk(root, followlinks=True)  # a data set may be spread over disks
    files = ((Path(folder) / name).relative_to(root) for folder, _, inside in folders for name in inside)
    names = sorted(path.as_posix() for path in files if path.suffix.lower() in SUFFIXES and not _is_hidden(path))
    if not names:
        raise DataError(f"{root}: no data set files in this folder ({', '.join(sorted(SUFFIXES))})")
    pack_lmdb(root, tqdm(names, unit="file"), to)
    counts = Counter(name.partition("/")[0] for name in names)
    print(
        "\n".join(f"{part:<32}{count:>12,} files" for part, count in counts.items()) + f"\n{to}: {len(names):,} files"
    )


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


if __name__ == "__main__":
    run_command(main)

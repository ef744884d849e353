"""Write local.yaml, which holds the folders of data sets and results. An existing file is never changed."""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

from lib.errors import ConfigError
from lib.utils.cli import run_command
from lib.utils.local_paths import LOCAL_FILE, read_local_file

TEMPLATE = """# Folders of this machine; --data_dir, --save_dir, SDTRACK_DATA_DIR and SDTRACK_SAVE_DIR override them.
data_dir: "{data_dir}"              # <data_dir>/got10k, lasot, otb, ... in their official layouts
save_dir: "{save_dir}"              # checkpoints, results, logs, plots
pretrained_dir: "{pretrained_dir}"  # pretrained backbones
datasets: {{}}                      # data sets in other folders, such as {{lasot: "/mnt/disk2/LaSOT"}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace_dir", default=".", help="folder that the other two are relative to")
    parser.add_argument("--data_dir", default="./data", help="folder with one folder per data set")
    parser.add_argument("--save_dir", default="./output", help="folder for checkpoints, results, logs and plots")
    args = parser.parse_args()
    if LOCAL_FILE.exists():
        read_local_file(LOCAL_FILE)
        raise ConfigError(f"{LOCAL_FILE}: exists already, is valid, and was not changed; edit it, or remove it first")
    workspace = Path(args.workspace_dir).absolute()
    folders = {
        "data_dir": workspace / args.data_dir,
        "save_dir": workspace / args.save_dir,
        "pretrained_dir": workspace / "pretrained_models",
    }
    LOCAL_FILE.write_text(TEMPLATE.format(**{key: path.resolve() for key, path in folders.items()}), encoding="utf-8")
    print(f"{LOCAL_FILE} written:\n{LOCAL_FILE.read_text(encoding='utf-8')}")


if __name__ == "__main__":
    run_command(main)

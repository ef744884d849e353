"""Write local.yaml, which says where data sets are and where results go. An existing one is never touched."""

import _init_paths  # noqa: F401

import argparse
from pathlib import Path

from lib.errors import ConfigError
from lib.utils.cli import run_command
from lib.utils.local_paths import LOCAL_FILE, read_local_file

TEMPLATE = """# Folders of this machine; --data_dir, --save_dir, SDTRACK_DATA_DIR and SDTRACK_SAVE_DIR override it.
data_dir: "{data_dir}"              # <data_dir>/got10k, lasot, otb, ... in their official layouts
save_dir: "{save_dir}"              # checkpoints, results, logs, plots
pretrained_dir: "{pretrained_dir}"  # pretrained backbones
datasets: {{}}                      # data sets that are elsewhere, such as {{lasot: "/mnt/disk2/LaSOT"}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workspace_dir", default=".", help="the project's folder, to which the others are relative")
    parser.add_argument("--data_dir", default="./data")
    parser.add_argument("--save_dir", default="./output")
    args = parser.parse_args()
    if LOCAL_FILE.exists():
        read_local_file(LOCAL_FILE)
        raise ConfigError(f"{LOCAL_FILE} is there already, readable, and was not touched. Edit it, or remove it first")
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

"""Parameters of a tracker with a network: which checkpoint, and the config that it carries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lib.config.loader import Config, computed_alike, config_from_dict, differences, load_config
from lib.errors import CheckpointError
from lib.test.evaluation.environment import env_settings
from lib.test.utils import TrackerParams
from lib.utils.checkpoint import read_foreign_checkpoint

SHIPPED = Path(__file__).resolve().parents[3] / "weights"


def network_parameters(
    script: str,
    network: str,
    yaml_name: str,
    *,
    checkpoint: str | Path | None = None,
    save_dir: str | Path | None = None,
    overrides: Iterable[str] = (),
    device: str | None = None,
    backend: str = "auto",
) -> TrackerParams:
    """Parameters of experiments/<script>/<yaml_name>.yaml. network: its class, after which checkpoints are named.

    checkpoint: a file, else the one of TEST.EPOCH below save_dir, else the weights that come with the project. The
    config is the checkpoint's own; where the yaml has changed since, that is printed, and of a file without one, such
    as another project's, it is the yaml's. overrides: "KEY=VALUE" strings on top of it. device: where to compute;
    backend: one of lib.test.tracker.backends.
    """
    yaml_cfg = load_config(script, yaml_name, overrides)
    folder = Path(save_dir or env_settings().save_dir) / "checkpoints" / "train" / script / yaml_name
    path = Path(checkpoint) if checkpoint else find_weights(folder, yaml_cfg.TEST.EPOCH, network)
    params = TrackerParams()
    params.cfg = _checkpoint_config(script, path, yaml_name, yaml_cfg, list(overrides))
    params.template_factor, params.template_size = params.cfg.TEST.TEMPLATE_FACTOR, params.cfg.TEST.TEMPLATE_SIZE
    params.search_factor, params.search_size = params.cfg.TEST.SEARCH_FACTOR, params.cfg.TEST.SEARCH_SIZE
    params.checkpoint = path
    params.save_all_boxes = False
    params.device = device
    params.backend = backend
    return params


def shipped_weights(config: str) -> Path:
    """Where the weights of a config lie that come with the project, if it has some."""
    return SHIPPED / f"{config}.safetensors"


def find_weights(folder: Path, epoch: int, network: str) -> Path:
    """<network>_ep<epoch>.pth.tar of the folder; epoch 0: the newest, and where nothing is trained the shipped weights
    of the config that the folder is named after, which is printed.

    Raises CheckpointError that says what is there.
    """
    pattern = re.compile(rf"{network}_ep(\d{{4}})\.pth\.tar")
    found = {int(match[1]): path for path in folder.glob("*") if (match := pattern.fullmatch(path.name))}
    shipped = shipped_weights(folder.name)
    if not found and not epoch and folder.parent.name == "sdtrack" and shipped.is_file():
        print(f"{folder}: nothing trained there; taking the shipped weights, {shipped}")
        return shipped
    if not found:
        raise CheckpointError(
            f"{folder}: no checkpoint there. Train one (python tracking/train.py --script {folder.parent.name} "
            f"--config {folder.name}), name a file (checkpoint), or the folder that it is below (save_dir)"
        )
    wanted = epoch or max(found)
    if wanted not in found:
        raise CheckpointError(
            f"{folder}: no checkpoint of epoch {wanted} (TEST.EPOCH); there are epochs "
            f"{', '.join(map(str, sorted(found)))}: choose one: TEST.EPOCH={max(found)}"
        )
    return found[wanted]


def _checkpoint_config(script: str, path: Path, yaml_name: str, yaml_cfg: Config, overrides: list[str]) -> Config:
    content, _ = read_foreign_checkpoint(path)
    if "net" not in content:
        raise CheckpointError(f"{path}: not a checkpoint of tracking/train.py (it lacks net)")
    if "config" not in content:
        print(f"{path.name} carries no config; {yaml_name}.yaml's is taken")
        return yaml_cfg
    cfg = config_from_dict(script, content["config"], str(path), overrides)
    no_matter = ("TRAIN.", *computed_alike(script))
    changed = [line for line in differences(cfg, yaml_cfg) if not line.startswith(no_matter)]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        print(f"{path.name} carries its own config; {yaml_name}.yaml differs: {'; '.join(changed[:3])}{more}")
    return cfg

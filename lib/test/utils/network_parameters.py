"""Parameters of a tracker with a network: which checkpoint, and the config that it carries."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from pathlib import Path

from lib.config.loader import Config, config_from_dict, differences, load_config, same_result_keys
from lib.errors import CheckpointError
from lib.test.evaluation.environment import env_settings
from lib.test.utils import TrackerParams
from lib.utils.weight_files import WeightsFile

SHIPPED = Path(__file__).resolve().parents[3] / "weights"

logger = logging.getLogger("sdtrack")


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
    config is the checkpoint's own, with a log message where the yaml has changed since; for a file without one, such as
    another project's, it is the yaml's. overrides: "KEY=VALUE" strings on top of it. device: "cpu", "cuda:0" ..., None:
    the GPU if there is one; backend: one of lib.deploy.backends.BACKENDS. Raises ConfigError and CheckpointError.
    """
    yaml_cfg = load_config(script, yaml_name, overrides)
    folder = Path(save_dir or env_settings().save_dir) / "checkpoints" / "train" / script / yaml_name
    weights = WeightsFile(checkpoint) if checkpoint else find_weights(folder, yaml_cfg.TEST.EPOCH, network)
    params = TrackerParams()
    params.cfg = _checkpoint_config(script, weights, yaml_name, yaml_cfg, list(overrides))
    params.template_factor, params.template_size = params.cfg.TEST.TEMPLATE_FACTOR, params.cfg.TEST.TEMPLATE_SIZE
    params.search_factor, params.search_size = params.cfg.TEST.SEARCH_FACTOR, params.cfg.TEST.SEARCH_SIZE
    params.checkpoint, params.weights = weights.path, weights
    params.save_all_boxes = False
    params.device = device
    params.backend = backend
    return params


def shipped_weights(config: str) -> Path:
    """The path of the weights that come with the project for a config; there may be none."""
    return SHIPPED / f"{config}.safetensors"


def find_weights(folder: Path, epoch: int, network: str) -> WeightsFile:
    """<network>_ep<epoch>.pth.tar of a folder <script>/<config>; epoch 0: the newest, and without any checkpoint there
    the shipped weights of that script and config, with a log message.

    Raises CheckpointError that lists the epochs that exist.
    """
    script, config = folder.parts[-2:]
    pattern = re.compile(rf"{network}_ep(\d{{4}})\.pth\.tar")
    found = {int(match[1]): path for path in folder.glob("*") if (match := pattern.fullmatch(path.name))}
    shipped = WeightsFile(shipped_weights(config))
    if not found and not epoch and shipped.path.is_file() and shipped.content.get("script") == script:
        logger.info("%s: nothing trained there; using the shipped weights, %s", folder, shipped.path)
        return shipped
    if not found:
        raise CheckpointError(
            f"{folder}: no checkpoint there. Train one (python tracking/train.py --script {script} "
            f"--config {config}), name a file (checkpoint), or the folder that it is below (save_dir)"
        )
    wanted = epoch or max(found)
    if wanted not in found:
        raise CheckpointError(
            f"{folder}: no checkpoint of epoch {wanted} (TEST.EPOCH); there are epochs "
            f"{', '.join(map(str, sorted(found)))}: choose one: TEST.EPOCH={max(found)}"
        )
    return WeightsFile(found[wanted])


def _checkpoint_config(
    script: str, weights: WeightsFile, yaml_name: str, yaml_cfg: Config, overrides: list[str]
) -> Config:
    content, path = weights.content, weights.path
    if "net" not in content:
        raise CheckpointError(f"{path}: not a checkpoint of tracking/train.py (it lacks net)")
    if "config" not in content:
        logger.info("%s carries no config; that of %s.yaml is used", path.name, yaml_name)
        return yaml_cfg
    cfg = config_from_dict(script, content["config"], str(path), overrides)
    ignored = ("TRAIN.", *same_result_keys(script))
    changed = [line for line in differences(cfg, yaml_cfg) if not line.startswith(ignored)]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        logger.info(
            "%s carries its own config; %s.yaml differs: %s%s", path.name, yaml_name, "; ".join(changed[:3]), more
        )
    return cfg

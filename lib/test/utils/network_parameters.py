"""Parameters of a network tracker: its checkpoint, and the config stored in it."""

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

TRACKED = ("MODEL.", "TEST.", "DATA.MEAN", "DATA.STD", "DATA.CROP_AVERAGING")  # keys that tracking depends on

logger = logging.getLogger("sdtrack")


class NetworkParams(TrackerParams):
    """Parameters of a network tracker, which network_parameters fills in."""

    cfg: Config
    checkpoint: Path
    weights: WeightsFile
    template_factor: float  # side of the crop: factor * sqrt(area of the target)
    template_size: int  # side of the crop in pixels
    search_factor: float
    search_size: int
    save_all_boxes: bool  # whether results hold all candidates of a frame
    device: str | None
    backend: str
    session: str  # version of a session that is recorded with results; not set if there is only one


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
) -> NetworkParams:
    """Parameters from experiments/<script>/<yaml_name>.yaml. network: class name, the prefix of checkpoint files.

    checkpoint: a weights file; None: the checkpoint of TEST.EPOCH below save_dir, else the weights shipped with the
    project. The config comes from the checkpoint; if the yaml differs from it, that is logged. For a file without a
    config, such as that of an OSTrack host, the yaml's is used, without crop averages. overrides: "KEY=VALUE" strings
    applied on top. device: "cpu", "cuda:0", ...; None: the GPU if there is one. backend: one of
    lib.deploy.backends.BACKENDS. Raises ConfigError for wrong settings, CheckpointError for missing or broken weights.
    """
    yaml_cfg = load_config(script, yaml_name, overrides)
    folder = Path(save_dir or env_settings().save_dir) / "checkpoints" / "train" / script / yaml_name
    weights = WeightsFile(checkpoint) if checkpoint else find_weights(folder, yaml_cfg.TEST.EPOCH, network)
    params = NetworkParams()
    params.cfg = _checkpoint_config(script, weights, yaml_name, yaml_cfg, list(overrides))
    params.template_factor, params.template_size = params.cfg.TEST.TEMPLATE_FACTOR, params.cfg.TEST.TEMPLATE_SIZE
    params.search_factor, params.search_size = params.cfg.TEST.SEARCH_FACTOR, params.cfg.TEST.SEARCH_SIZE
    params.checkpoint, params.weights = weights.path, weights
    params.save_all_boxes = False
    params.device = device
    params.backend = backend
    return params


def shipped_weights(config: str) -> Path:
    """Path of the weights shipped with the project for a config; the file may not exist."""
    return SHIPPED / f"{config}.safetensors"


def find_weights(folder: Path, epoch: int, network: str) -> WeightsFile:
    """The weights file <network>_ep<epoch>.pth.tar in folder, whose path ends in <script>/<config>.

    epoch 0: the newest one; if there are no checkpoints, the shipped weights of that script and config, which is
    logged. Raises CheckpointError if there are none, or that lists the existing epochs if `epoch` is missing.
    """
    script, config = folder.parts[-2:]
    pattern = re.compile(rf"{network}_ep(\d{{4}})\.pth\.tar")
    found = {int(match[1]): path for path in folder.glob("*") if (match := pattern.fullmatch(path.name))}
    shipped = WeightsFile(shipped_weights(config))
    if not found and not epoch and shipped.path.is_file() and shipped.content.get("script") == script:
        logger.info("%s: no trained checkpoint; using the shipped weights %s", folder, shipped.path)
        return shipped
    if not found:
        raise CheckpointError(
            f"{folder}: no checkpoint. Train one (python tracking/train.py --script {script} "
            f"--config {config}), name a file (checkpoint), or the folder above it (save_dir)"
        )
    wanted = epoch or max(found)
    if wanted not in found:
        raise CheckpointError(
            f"{folder}: no checkpoint of epoch {wanted} (TEST.EPOCH); existing epochs: "
            f"{', '.join(map(str, sorted(found)))}; choose one, such as TEST.EPOCH={max(found)}"
        )
    return WeightsFile(found[wanted])


def _checkpoint_config(
    script: str, weights: WeightsFile, yaml_name: str, yaml_cfg: Config, overrides: list[str]
) -> Config:
    content, path = weights.content, weights.path
    if "net" not in content:
        raise CheckpointError(f"{path}: not a checkpoint of tracking/train.py: it has no key 'net'")
    if "config" not in content:
        # It was trained by a host, whose training crops have no averages
        logger.info("%s has no config; using %s.yaml with DATA.CROP_AVERAGING=false", path.name, yaml_name)
        return load_config(script, yaml_name, ["DATA.CROP_AVERAGING=false", *overrides])
    cfg = config_from_dict(script, content["config"], str(path), overrides)
    changed = [line for line in differences(cfg, yaml_cfg) if line.startswith(TRACKED)]
    changed = [line for line in changed if not line.startswith(tuple(same_result_keys(script)))]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        logger.info(
            "%s: using its own config; %s.yaml differs: %s%s", path.name, yaml_name, "; ".join(changed[:3]), more
        )
    return cfg

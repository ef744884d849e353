"""Fine-tuning on a few custom videos: config overrides for a short training at a low rate."""

import json
from collections.abc import Sequence

from lib.config.loader import load_config
from lib.errors import ConfigError
from lib.utils.files import expanded
from lib.utils.parsing import parse_yaml

RATE = 0.01  # learning rate, divided by that of the config; the higher, the more other videos lose
SHORT = (  # 8,000 pairs at a rate that falls to 0; the stem, which knows more pictures than a few videos show, stays
    "TRAIN.EPOCH=5", "DATA.TRAIN.SAMPLE_PER_EPOCH=1600", "TRAIN.SCHEDULER.TYPE=cosine", "TRAIN.WARMUP_STEPS=50",
    "TRAIN.FREEZE_STEM=1", "TRAIN.EMA=0.99", "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]",
    "DATA.HELD_OUT=[]", "DATA.TRAIN.SEQUENCE_WEIGHTS=[]",  # they are about the config's own data
)  # fmt: skip
NAMES = "DATA.TRAIN.DATASETS_NAME="


def finetune_overrides(script: str, config: str, weights: str, overrides: Sequence[str]) -> list[str]:
    """Config overrides for fine-tuning a config from a weights file, in the form KEY=VALUE.

    overrides: those of the user, which come last and count. If they name training data without ratios, all are drawn
    equally often. Raises ConfigError if the file does not exist.
    """
    file = expanded(weights).absolute()
    if not file.is_file():
        raise ConfigError(f"--finetune {weights}: there is no such weights file")
    rate = RATE * load_config(script, config).TRAIN.LR
    named = [value.removeprefix(NAMES) for value in overrides if value.startswith(NAMES)]
    names = parse_yaml(named[-1].encode()) if named else None
    ratios = [f"DATA.TRAIN.DATASETS_RATIO={[1] * len(names)}"] if isinstance(names, list) else []
    start = f"MODEL.PRETRAIN_FILE={json.dumps(str(file), ensure_ascii=False)}", "MODEL.BACKBONE.PRETRAIN_TYPE=sdtrack"
    return [*start, *SHORT, f"TRAIN.LR={rate:g}", *ratios, *overrides]

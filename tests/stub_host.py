"""An OSTrack-style host in miniature, as far as a plugin can see it: files, by path, to be written into a folder."""

from pathlib import Path

FILES = {
    "lib/utils/box_ops.py": """
import torch

def box_cxcywh_to_xyxy(x):
    x_c, y_c, w, h = x.unbind(-1)
    return torch.stack([x_c - 0.5 * w, y_c - 0.5 * h, x_c + 0.5 * w, y_c + 0.5 * h], dim=-1)

def box_xywh_to_xyxy(x):
    x1, y1, w, h = x.unbind(-1)
    return torch.stack([x1, y1, x1 + w, y1 + h], dim=-1)

def box_xyxy_to_xywh(x):
    x1, y1, x2, y2 = x.unbind(-1)
    return torch.stack([x1, y1, x2 - x1, y2 - y1], dim=-1)

def box_xyxy_to_cxcywh(x):
    x0, y0, x1, y1 = x.unbind(-1)
    return torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0], dim=-1)

def clip_box(box, H, W, margin=0):
    x1, y1, w, h = box
    x2, y2 = x1 + w, y1 + h
    x1, x2 = min(max(0, x1), W - margin), min(max(margin, x2), W)
    y1, y2 = min(max(0, y1), H - margin), min(max(margin, y2), H)
    return [x1, y1, max(margin, x2 - x1), max(margin, y2 - y1)]
""",
    "lib/models/layers/head.py": "# the host's own heads\n",
    "lib/train/actors/__init__.py": "from .base_actor import BaseActor\n",
    "lib/train/actors/base_actor.py": """
class BaseActor:
    def __init__(self, net, objective):
        self.net = net
        self.objective = objective

    def __call__(self, data):
        raise NotImplementedError

    def train(self, mode=True):
        self.net.train(mode)
""",
    "lib/train/admin/settings.py": '''
class Settings:
    """What the host pickles into its checkpoints beside the weights."""

    def __init__(self, **values):
        self.__dict__.update(values)
''',
    "lib/train/train_script.py": '''
import importlib
import torch

def build(settings, network_alone=False):
    config_module = importlib.import_module("lib.config.%s.config" % settings.script_name)
    cfg = config_module.cfg
    config_module.update_config_from_file(settings.cfg_file)
    for key in cfg.keys():
        str(cfg[key])
    if settings.script_name == "ostrack":
        net = None
    #NETWORK
    else:
        raise ValueError("illegal script name")
    if settings.script_name == "ostrack":
        actor = None
    #ACTOR
    else:
        raise ValueError("illegal script name")
    fast = [p for n, p in net.named_parameters() if "backbone" not in n and p.requires_grad]
    slow = [p for n, p in net.named_parameters() if "backbone" in n and p.requires_grad]
    groups = [{"params": fast}, {"params": slow, "lr": cfg.TRAIN.LR * cfg.TRAIN.BACKBONE_MULTIPLIER}]
    return cfg, net, actor, torch.optim.AdamW(groups, lr=cfg.TRAIN.LR, weight_decay=cfg.TRAIN.WEIGHT_DECAY)

def step(settings, cfg, actor, optimizer, data):
    """One step of the host's trainer."""
    actor.train(True)
    data["epoch"], data["settings"] = 1, settings
    loss, stats = actor(data)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(actor.net.parameters(), cfg.TRAIN.GRAD_CLIP_NORM)
    optimizer.step()
    return stats

def save(settings, net, actor, optimizer, epoch):
    path = "%s/checkpoints/train/%s/%s/%s_ep%04d.pth.tar" % (
        settings.save_dir, settings.script_name, settings.config_name, type(net).__name__, epoch)
    torch.save({"epoch": epoch, "actor_type": type(actor).__name__, "net_type": type(net).__name__,
                "net": net.state_dict(), "net_info": None, "constructor": None,
                "optimizer": optimizer.state_dict(), "stats": {}, "settings": settings}, path)
''',
    "lib/test/tracker/basetracker.py": """
class BaseTracker:
    def __init__(self, params):
        self.params = params
        self.visdom = None

    def initialize(self, image, info):
        raise NotImplementedError

    def track(self, image, info=None):
        raise NotImplementedError
""",
    "lib/test/utils/__init__.py": "from .params import TrackerParams\n",
    "lib/test/utils/params.py": """
class TrackerParams:
    def get(self, name, *default):
        return getattr(self, name, *default)

    def has(self, name):
        return hasattr(self, name)
""",
    "lib/test/evaluation/environment.py": """
from pathlib import Path

class EnvSettings:
    def __init__(self):
        self.prj_dir = str(Path(__file__).resolve().parents[3])
        self.save_dir = self.prj_dir + "/output"
        self.results_path = self.save_dir + "/test/tracking_results"
        self.otb_path = ""

def env_settings():
    return EnvSettings()
""",
    "experiments/ostrack/vitb_256_mae_32x4_ep300.yaml": "MODEL: {}\n",
}


def write_host(folder: Path) -> Path:
    """The host's files in a folder, each package with its __init__.py."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        for parent in path.parents:
            if folder / "lib" in (parent, *parent.parents):
                (parent / "__init__.py").touch()
    return folder

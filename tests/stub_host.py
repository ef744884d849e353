"""An OSTrack-style host in miniature, as far as a plugin can see it: files, by path, to be written into a folder.

It asserts what the real one does, reads what it reads, and may change what it may change.
"""

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

    def to(self, device):
        self.net.to(device)

    def train(self, mode=True):
        self.net.train(mode)

    def eval(self):
        self.train(False)
""",
    "lib/train/admin/settings.py": """
class Settings:
    # what the host pickles into its checkpoints beside the weights
    def __init__(self, **values):
        self.__dict__.update(values)
""",
    "lib/train/data/loader.py": """
import collections
import torch
if "." not in torch.__version__:
    from torch._six import int_classes


class LTRLoader:
    # batches of samples {name: tensor (N, ...)}, stacked along dimension 1: (N, B, ...)
    def __init__(self, name, dataset, training, batch_size, epoch_interval=1):
        self.name, self.dataset, self.training = name, dataset, training
        self.batch_size, self.epoch_interval, self.stack_dim = batch_size, epoch_interval, 1
        assert not isinstance(dataset, collections.Mapping if hasattr(collections, "Mapping") else dict)

    def __iter__(self):
        for first in range(0, len(self.dataset) - self.batch_size + 1, self.batch_size):
            samples = self.dataset[first:first + self.batch_size]
            yield {name: torch.stack([sample[name] for sample in samples], dim=1) for name in samples[0]}
""",
    "lib/train/base_functions.py": """
import torch
from lib.train.data.loader import LTRLoader

NAMES = ["LASOT", "GOT10K_vottrain", "GOT10K_votval", "GOT10K_train_full", "GOT10K_official_val", "COCO17", "VID",
         "TRACKINGNET"]


def update_settings(settings, cfg):
    settings.print_interval = cfg.TRAIN.PRINT_INTERVAL
    for key, crop in (("template", cfg.DATA.TEMPLATE), ("search", cfg.DATA.SEARCH)):
        for name, value in (("search_area_factor", crop.FACTOR), ("output_sz", crop.SIZE),
                            ("center_jitter_factor", crop.CENTER_JITTER), ("scale_jitter_factor", crop.SCALE_JITTER)):
            settings.__dict__.setdefault(name, {})[key] = value
    settings.grad_clip_norm = cfg.TRAIN.GRAD_CLIP_NORM
    settings.batchsize = cfg.TRAIN.BATCH_SIZE
    settings.scheduler_type = cfg.TRAIN.SCHEDULER.TYPE


def names2datasets(name_list):
    assert isinstance(name_list, list)
    for name in name_list:
        assert name in NAMES
    return torch.load("samples.pt")


def build_dataloaders(cfg, settings):
    for values in (cfg.DATA.MEAN, cfg.DATA.STD):
        assert isinstance(values, list) and len(values) == 3
    settings.num_template = getattr(cfg.DATA.TEMPLATE, "NUMBER", 1)
    settings.num_search = getattr(cfg.DATA.SEARCH, "NUMBER", 1)
    assert getattr(cfg.DATA, "SAMPLER_MODE", "causal") in ("causal", "trident", "trident_pro", "stark")
    assert getattr(cfg.TRAIN, "TRAIN_CLS", False) is False
    loaders = []
    for name, split in (("train", cfg.DATA.TRAIN), ("val", cfg.DATA.VAL)):
        total = sum(split.DATASETS_RATIO)
        assert len([ratio / total for ratio in split.DATASETS_RATIO]) == len(split.DATASETS_NAME)
        samples = names2datasets(split.DATASETS_NAME)
        samples = [samples[index % len(samples)] for index in range(split.SAMPLE_PER_EPOCH)]
        interval = cfg.TRAIN.VAL_EPOCH_INTERVAL if name == "val" else 1
        loaders.append(LTRLoader(name, samples, name == "train", cfg.TRAIN.BATCH_SIZE, interval))
    range(cfg.TRAIN.NUM_WORKER), range(cfg.DATA.MAX_SAMPLE_INTERVAL)
    return loaders


def get_optimizer_scheduler(net, cfg):
    groups = [
        {"params": [p for n, p in net.named_parameters() if "backbone" not in n and p.requires_grad]},
        {"params": [p for n, p in net.named_parameters() if "backbone" in n and p.requires_grad],
         "lr": cfg.TRAIN.LR * cfg.TRAIN.BACKBONE_MULTIPLIER},
    ]
    if cfg.TRAIN.OPTIMIZER != "ADAMW":
        raise ValueError("Unsupported Optimizer")
    optimizer = torch.optim.AdamW(groups, lr=cfg.TRAIN.LR, weight_decay=cfg.TRAIN.WEIGHT_DECAY)
    if cfg.TRAIN.SCHEDULER.TYPE == "step":
        return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, cfg.TRAIN.LR_DROP_EPOCH)
    if cfg.TRAIN.SCHEDULER.TYPE == "Mstep":
        milestones = cfg.TRAIN.SCHEDULER.MILESTONES
        return optimizer, torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=cfg.TRAIN.SCHEDULER.GAMMA)
    raise ValueError("Unsupported scheduler")
""",
    "lib/train/trainers.py": """
import glob
import os
import torch


class LTRTrainer:
    def __init__(self, actor, loaders, optimizer, settings, lr_scheduler, use_amp):
        assert use_amp is False or use_amp is True
        self.actor, self.loaders, self.optimizer, self.settings = actor, loaders, optimizer, settings
        self.lr_scheduler, self.epoch, self.stats = lr_scheduler, 0, {}
        self.directory = os.path.join(settings.save_dir, "checkpoints", settings.project_path)
        self.actor.to(settings.device)

    def train(self, max_epochs):
        self.load_checkpoint()
        for self.epoch in range(self.epoch + 1, max_epochs + 1):
            for loader in self.loaders:
                if self.epoch % loader.epoch_interval == 0:
                    self.cycle_dataset(loader)
            self.lr_scheduler.step()
            self.save_checkpoint()

    def cycle_dataset(self, loader):
        self.actor.train(loader.training)
        torch.set_grad_enabled(loader.training)
        for data in loader:
            data = {name: tensor.to(self.settings.device) for name, tensor in data.items()}
            data["epoch"], data["settings"] = self.epoch, self.settings
            loss, stats = self.actor(data)
            if loader.training:
                self.optimizer.zero_grad()
                loss.backward()
                if self.settings.grad_clip_norm > 0:
                    torch.nn.utils.clip_grad_norm_(self.actor.net.parameters(), self.settings.grad_clip_norm)
                self.optimizer.step()
            count = data["template_images"].shape[loader.stack_dim]
            for name, value in stats.items():
                total, number = self.stats.setdefault(loader.name, {}).get(name, (0.0, 0))
                self.stats[loader.name][name] = total + value * count, number + count
                "%.5f" % (total + value)
            self.settings.first_stats = getattr(self.settings, "first_stats", None) or stats
        torch.set_grad_enabled(True)

    def save_checkpoint(self):
        net = self.actor.net
        state = {"epoch": self.epoch, "actor_type": type(self.actor).__name__, "net_type": type(net).__name__,
                 "net": net.state_dict(), "net_info": getattr(net, "info", None),
                 "constructor": getattr(net, "constructor", None), "optimizer": self.optimizer.state_dict(),
                 "stats": self.stats, "settings": self.settings}
        os.makedirs(self.directory, exist_ok=True)
        torch.save(state, "%s/%s_ep%04d.pth.tar" % (self.directory, type(net).__name__, self.epoch))

    def load_checkpoint(self):
        net = self.actor.net
        files = sorted(glob.glob("%s/%s_ep*.pth.tar" % (self.directory, type(net).__name__)))
        if files:
            content = torch.load(files[-1], map_location="cpu", weights_only=False)
            assert content["net_type"] == type(net).__name__
            net.load_state_dict(content["net"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.epoch = self.lr_scheduler.last_epoch = content["epoch"]
""",
    "lib/train/train_script.py": """
import importlib
import os
import torch
from lib.train.base_functions import build_dataloaders, get_optimizer_scheduler, update_settings
from lib.train.trainers import LTRTrainer


def run(settings, epochs=None):
    if not os.path.exists(settings.cfg_file):
        raise ValueError("%s doesn't exist." % settings.cfg_file)
    config_module = importlib.import_module("lib.config.%s.config" % settings.script_name)
    cfg = config_module.cfg
    config_module.update_config_from_file(settings.cfg_file)
    for key in cfg.keys():
        print("%s configuration:" % key, cfg[key])
    update_settings(settings, cfg)
    loader_train, loader_val = build_dataloaders(cfg, settings)
    if "RepVGG" not in cfg.MODEL.BACKBONE.TYPE and "swin" not in cfg.MODEL.BACKBONE.TYPE:
        cfg.ckpt_dir = settings.save_dir
    if settings.script_name == "ostrack":
        net = None
    #NETWORK
    else:
        raise ValueError("illegal script name")
    settings.device = torch.device("cpu")
    net.to(settings.device)
    settings.deep_sup = getattr(cfg.TRAIN, "DEEP_SUPERVISION", False)
    settings.distill = getattr(cfg.TRAIN, "DISTILL", False)
    if settings.script_name == "ostrack":
        actor = None
    #ACTOR
    else:
        raise ValueError("illegal script name")
    optimizer, lr_scheduler = get_optimizer_scheduler(net, cfg)
    use_amp = getattr(cfg.TRAIN, "AMP", False)
    trainer = LTRTrainer(actor, [loader_train, loader_val], optimizer, settings, lr_scheduler, use_amp)
    trainer.train(epochs or cfg.TRAIN.EPOCH)
    return cfg, trainer
""",
    "lib/test/evaluation/tracker.py": """
import importlib
import os
import numpy as np
from lib.test.evaluation.environment import env_settings


class Tracker:
    def __init__(self, name, parameter_name, dataset_name):
        self.name, self.parameter_name, self.dataset_name = name, parameter_name, dataset_name
        module = importlib.import_module("lib.test.tracker.%s" % name)
        self.tracker_class = module.get_tracker_class()

    def run_sequence(self, seq_name, frames, ground_truth):
        module = importlib.import_module("lib.test.parameter.%s" % self.name)
        params = module.parameters(self.parameter_name)
        params.debug = getattr(params, "debug", 0)
        tracker = self.tracker_class(params, self.dataset_name)
        output = [[float(value) for value in ground_truth[0]]]
        out = tracker.initialize(frames[0], {"init_bbox": list(ground_truth[0])})
        prev_output = dict({} if out is None else out)
        for number, image in enumerate(frames[1:], start=1):
            info = {"previous_output": prev_output, "gt_bbox": ground_truth[number]}
            prev_output = dict(tracker.track(image, info))
            assert len(prev_output["target_bbox"]) == 4 and (not params.save_all_boxes or prev_output["all_boxes"])
            output.append(prev_output["target_bbox"])
        folder = os.path.join(env_settings().results_path, self.name, self.parameter_name)
        os.makedirs(folder, exist_ok=True)
        file = os.path.join(folder, "%s.txt" % seq_name)
        np.savetxt(file, np.array(output).astype(int), delimiter="\\t", fmt="%d")
        return output, file
""",
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

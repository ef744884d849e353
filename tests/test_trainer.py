import os
import pickle
import subprocess
import sys
from types import ModuleType

import pytest
import torch
from doubles import same, tiny_config
from operations import Operations

from lib.config.loader import load_config
from lib.errors import CheckpointError, ConfigError, DataError, SDTrackError, TrainingError
from lib.models.losses.box_losses import iou_and_giou
from lib.models.sdtrack import build_sdtrack
from lib.train import train_script
from lib.train.actors.sdtrack import SDTrackActor, build_actor, overlap_status
from lib.train.admin.checkpoints import checkpoint_path, latest_checkpoint, save_checkpoint
from lib.train.admin.loggers import TrainingLog
from lib.train.admin.settings import Settings
from lib.train.admin.stopping import StopSignals
from lib.train.builders import build_optimizer, lr_factor
from lib.train.dataset.synthetic import Synthetic
from lib.train.run_training import run_training
from lib.train.trainers import trainer as trainer_module
from lib.train.trainers.averaging import WarmedUpEma
from lib.train.trainers.trainer import Trainer
from lib.utils.device import switched_on
from lib.utils.local_paths import LocalPaths
from lib.utils.weight_files import read_checkpoint


def train(folder, *overrides, resume="never"):
    settings = Settings("sdtrack", "demo", folder, torch.device("cpu"))
    paths = LocalPaths(data_dir=folder / "data", save_dir=folder, pretrained_dir=folder / "pretrained")
    return train_script.run(settings, tiny_config(*overrides), paths, resume)


def test_four_epochs_equal_two_resume_and_two(tmp_path):
    options = ("TRAIN.EPOCH=4", "TRAIN.SCHEDULER.TYPE=step", "TRAIN.LR_DROP_EPOCH=3", "MODEL.DECODER.DROPOUT=0.1")
    whole = read_checkpoint(train(tmp_path / "whole", *options).save())
    train(tmp_path / "parts", *options, "TRAIN.EPOCH=2")
    torch.manual_seed(123)  # whatever ran in between
    parts = read_checkpoint(train(tmp_path / "parts", *options, resume="auto").save())
    for key in ("net", "net_raw", "optimizer", "epoch", "step", "averaged_steps", "rng"):
        assert same(whole[key], parts[key]), key
    assert whole["epoch"] == 4


def test_checkpoints_open_where_the_project_is_unknown(tmp_path):
    path = train(tmp_path).save()
    assert path == tmp_path / "checkpoints" / "train" / "sdtrack" / "demo" / "SDTrack_ep0001.pth.tar"
    code = (
        "import sys, torch; content = torch.load(sys.argv[1], weights_only=True); "
        "assert not any(name.split('.')[0] == 'lib' for name in sys.modules); print(*sorted(content))"
    )
    answer = subprocess.run(
        [sys.executable, "-I", "-c", code, str(path)], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert {"net", "optimizer", "config", "versions", "rng"} <= set(answer.stdout.split())


def test_the_average_is_what_is_saved_to_track_with(tmp_path):
    content = read_checkpoint(train(tmp_path, "TRAIN.EMA=0.5").save())
    assert not same(content["net"], content["net_raw"])
    plain = read_checkpoint(train(tmp_path / "plain", "TRAIN.EMA=0").save())
    assert "net_raw" not in plain


def test_warmed_average_starts_quickly_and_ends_slowly():
    averaged, current = [torch.zeros(1)], [torch.ones(1)]
    update = WarmedUpEma(0.9)
    update(averaged, current, None)  # the count on the device is not read
    assert averaged[0].item() == pytest.approx(1 - 2 / 11)
    averaged, update.steps = [torch.zeros(1)], 10_000
    update(averaged, current, None)
    assert averaged[0].item() == pytest.approx(0.1)


def test_old_checkpoints_are_removed_and_the_newest_is_found(tmp_path):
    trainer = train(tmp_path, "TRAIN.EPOCH=5")
    folder = trainer.settings.checkpoint_dir
    assert len(list(folder.glob("*.pth.tar"))) == trainer.schedule.keep_checkpoints
    assert latest_checkpoint(folder).name == "SDTrack_ep0005.pth.tar"


def test_a_second_run_never_overwrites_the_first(tmp_path):
    train(tmp_path)
    with pytest.raises(SDTrackError, match="--resume auto"):
        train(tmp_path)


def test_resume_refuses_another_config(tmp_path):
    train(tmp_path)
    with pytest.raises(CheckpointError, match=r"TRAIN\.LR: 0\.001 -> 0\.1"):
        train(tmp_path, "TRAIN.LR=0.1", resume="auto")


def test_the_schedule_may_change_where_no_step_has_been_made(tmp_path):
    train(tmp_path, "TRAIN.SCHEDULER.TYPE=Mstep", "TRAIN.EPOCH=2")
    with pytest.raises(CheckpointError, match=r"TRAIN\.SCHEDULER\.MILESTONES"):
        train(tmp_path, "TRAIN.SCHEDULER.TYPE=Mstep", "TRAIN.SCHEDULER.MILESTONES=[1]", "TRAIN.EPOCH=3", resume="auto")
    later = train(
        tmp_path, "TRAIN.SCHEDULER.TYPE=Mstep", "TRAIN.SCHEDULER.MILESTONES=[2]", "TRAIN.EPOCH=3", resume="auto"
    )
    assert later.optimizer.param_groups[-1]["lr"] == pytest.approx(0.1 * later.base_rates[-1])


def test_a_loss_that_is_no_number_stops_the_run_and_is_saved(tmp_path, monkeypatch):
    actor_type = type(build_actor(torch.nn.Identity(), None, tiny_config()))
    honest = actor_type.compute_losses

    def poisoned(self, prediction, boxes):
        self.net.neck.norm.weight.data[0] = float("nan")
        loss, status = honest(self, prediction, boxes)
        return loss * float("nan"), status

    monkeypatch.setattr(actor_type, "compute_losses", poisoned)
    with pytest.raises(TrainingError, match=r"step 0 .*neck\.norm\.weight"):
        train(tmp_path)
    dump = torch.load(tmp_path / "logs" / "sdtrack" / "demo" / "not_a_number_step0_rank0.pth", weights_only=True)
    assert dump["batch"]["search_images"].shape == (1, 4, 64, 64, 3)
    assert dump["not_finite"] == ["neck.norm.weight"]


@pytest.mark.parametrize("optimizer", ["ADAMW", "MUON"])
def test_a_bad_step_is_found_when_the_figures_are_read_and_changes_no_weight(tmp_path, monkeypatch, optimizer):
    """The dump holds that step's batch, drawn again by its numbers, though other steps were made after it."""
    plain, batches, weights = Trainer._train_step, [], []

    def step(self, step_batches):
        batches.append(step_batches[0])
        weights.append({name: value.detach().clone() for name, value in self.net.named_parameters()})
        if self.step == 5:
            self.net.neck.norm.weight.register_hook(lambda gradient: gradient * float("nan"))
        return plain(self, step_batches)

    monkeypatch.setattr(Trainer, "_train_step", step)
    options = ("TRAIN.EPOCH=2", "DATA.TRAIN.SAMPLE_PER_EPOCH=32", "TRAIN.PRINT_INTERVAL=7", "TRAIN.EMA=0")
    with pytest.raises(
        TrainingError, match=r"gradient's norm is nan at step 5 \(epoch 1\).*gradient of neck\.norm\.weight"
    ):
        train(tmp_path, *options, f"TRAIN.OPTIMIZER={optimizer}", "DATA.TRAIN.SAMPLE_PER_EPOCH=40")
    assert len(batches) == 7, "the record is read every seven steps"
    assert not same(weights[4], weights[5]) and same(weights[5], weights[6])
    dump = torch.load(tmp_path / "logs" / "sdtrack" / "demo" / "not_a_number_step5_rank0.pth", weights_only=True)
    assert same(dump["batch"], batches[5]) and not same(batches[5], batches[6])


@pytest.mark.parametrize("script", ["sdtrack", "ostrack"])
def test_a_step_never_waits_for_the_device(tmp_path, script):
    options = ("TRAIN.EMA=0", "TRAIN.GRAD_CLIP_NORM=0.1")  # AveragedModel reads its count, which lies on the CPU
    cfg = tiny_config(*options) if script == "sdtrack" else load_config("ostrack", "demo", options)
    settings = Settings(script, "demo", tmp_path, torch.device("cpu"))
    trainer = train_script.build_trainer(settings, cfg, LocalPaths(save_dir=tmp_path))
    batch = next(iter(trainer.train_loader))
    trainer._train_step([batch])
    with Operations() as operations:
        trainer._train_step([batch])
    assert operations.counts.total() > 100
    assert not operations.waits


def test_compiled_parts_train_as_plain_ones(tmp_path, monkeypatch):
    """By Dynamo alone, without a compiler: what is traced, and under which names the weights are kept."""
    compiled = []

    def by_dynamo(module, **options):
        compiled.append(type(module).__name__)
        module._compiled_call_impl = torch.compile(module._call_impl, backend="eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", by_dynamo)
    options = ("MODEL.ENCODER.LAYERS=1", "TRAIN.AMP=false", "DATA.TRAIN.SAMPLE_PER_EPOCH=4", "TRAIN.EMA=0")
    plain = read_checkpoint(train(tmp_path / "plain", *options).save())
    fast = read_checkpoint(train(tmp_path / "fast", *options, "TRAIN.COMPILE=true").save())
    assert compiled == ["Block", "Block", "EncoderLayer", "DecoderLayer", "DecoderLayer"]
    assert plain["net"].keys() == fast["net"].keys()
    for name, value in plain["net"].items():
        torch.testing.assert_close(fast["net"][name], value, atol=1e-5, rtol=1e-4, msg=name)


def test_a_longer_training_goes_on_unless_a_cosine_would_have_had_other_rates(tmp_path):
    steps = ("TRAIN.SCHEDULER.TYPE=Mstep", "TRAIN.SCHEDULER.MILESTONES=[1]")
    train(tmp_path / "steps", *steps, "TRAIN.EPOCH=1")
    assert train(tmp_path / "steps", *steps, "TRAIN.EPOCH=3", resume="auto").epoch == 3
    train(tmp_path / "cosine", "TRAIN.SCHEDULER.TYPE=cosine", "TRAIN.EPOCH=1")
    with pytest.raises(CheckpointError, match=r"TRAIN\.EPOCH: 1 -> 3.*A cosine schedule spans all of TRAIN\.EPOCH"):
        train(tmp_path / "cosine", "TRAIN.SCHEDULER.TYPE=cosine", "TRAIN.EPOCH=3", resume="auto")


def test_switches_left_to_the_device_are_compared_as_they_are_on_it(tmp_path):
    train(tmp_path, "TRAIN.AMP=false", "MODEL.DECODER.BOX_RPB_FORM=mask")
    options = ("MODEL.DECODER.BOX_RPB_FORM=auto", "TRAIN.SCHEDULER.TYPE=step", "TRAIN.EPOCH=2")
    with pytest.raises(CheckpointError, match=r"TRAIN\.AMP: False -> True"):
        train(tmp_path, "TRAIN.AMP=true", *options, resume="auto")
    before = train(tmp_path / "step", "TRAIN.AMP=false", "TRAIN.SCHEDULER.TYPE=step", "TRAIN.EPOCH=1")
    assert before.amp_dtype is None
    after = train(tmp_path / "step", "TRAIN.AMP=auto", *options, resume="auto")
    assert after.epoch == 2 and after.amp_dtype is None
    assert [switched_on("auto", torch.device(name)) for name in ("cuda:1", "cpu")] == [True, False]


def test_everything_missing_is_said_at_once(tmp_path):
    with pytest.raises(DataError) as caught:
        train(
            tmp_path,
            "DATA.TRAIN.DATASETS_NAME=[LASOT,COCO17]",
            "DATA.TRAIN.DATASETS_RATIO=[1,1]",
            "MODEL.PRETRAIN_FILE=cae.pth",
        )
    message = str(caught.value)
    for place in ("data/lasot", "instances_train2017.json", "pretrained/cae.pth", "MODEL.PRETRAIN_FILE=none"):
        assert place in message
    with pytest.raises(DataError, match="no training data set 'LASOTT'"):
        train(tmp_path, "DATA.TRAIN.DATASETS_NAME=[LASOTT]")


def test_optimizer_groups_and_rates():
    cfg = tiny_config("TRAIN.LR=4e-4", "TRAIN.BACKBONE_MULTIPLIER=0.1")
    net = torch.nn.ModuleDict({"backbone": torch.nn.Linear(2, 2), "neck": torch.nn.Linear(2, 2)})
    groups = build_optimizer(net, cfg).param_groups
    assert [group["lr"] for group in groups] == [pytest.approx(4e-5), pytest.approx(4e-4)]
    assert groups[0]["params"][0] is net["backbone"].weight


@pytest.mark.parametrize("optimizer", ["ADAMW", "MUON"])
def test_norms_biases_and_embeddings_decay_unless_the_config_exempts_them(optimizer):
    net = build_sdtrack(tiny_config())
    decayed = {}
    for every in (True, False):
        cfg = tiny_config(f"TRAIN.DECAY_ALL={str(every).lower()}", f"TRAIN.OPTIMIZER={optimizer}", "TRAIN.LR=1")
        groups = build_optimizer(net, cfg).param_groups
        assert sum(len(group["params"]) for group in groups) == len(list(net.parameters()))
        decayed[every] = {p for group in groups if group["weight_decay"] for p in group["params"]}
        rates = {
            name: group["lr"] for group in groups for name, p in net.named_parameters() if p in set(group["params"])
        }
        assert rates["backbone.norm.weight"] == cfg.TRAIN.BACKBONE_MULTIPLIER and rates["neck.norm.bias"] == 1
    names = dict(net.named_parameters())
    assert decayed[True] == set(names.values())
    for name in ("backbone.blocks.0.norm1.weight", "neck.project.bias", "backbone.pos_embed_x",
                 "backbone.template_embed", "query_selection.position.1", "query_selection.content.0"):  # fmt: skip
        assert names[name] not in decayed[False], name
    for name in (
        "backbone.blocks.0.attn.qkv.weight",
        "neck.project.weight",
        "query_selection.detector.box_head.weight",
    ):
        assert names[name] in decayed[False], name


def test_muon_takes_the_matrices_of_linear_layers():
    cfg = tiny_config("TRAIN.OPTIMIZER=MUON", "TRAIN.LR=4e-4", "TRAIN.BACKBONE_MULTIPLIER=0.5", "TRAIN.WEIGHT_DECAY=0")
    net = build_sdtrack(cfg)
    joint = build_optimizer(net, cfg)
    muon, adamw = joint.optimizers
    assert (type(muon), type(adamw)) == (torch.optim.Muon, torch.optim.AdamW)
    assert [group["lr"] for group in joint.param_groups] == pytest.approx([4e-4, 8e-4, 2e-4, 4e-4])
    names = {parameter: name for name, parameter in net.named_parameters()}
    by_muon, by_adamw = ([names[p] for g in opt.param_groups for p in g["params"]] for opt in (muon, adamw))
    assert sorted([*by_muon, *by_adamw]) == sorted(names.values())
    assert "backbone.blocks.0.attn.qkv.weight" in by_muon and "query_selection.branches.0.content.weight" in by_muon
    for kept in ("backbone.pos_embed_x", "backbone.patch_embed.proj.0.weight", "query_selection.content.0",
                 "decoder.class_heads.0.weight", "decoder.box_heads.0.4.weight", "backbone.norm.weight"):  # fmt: skip
        assert kept in by_adamw, kept
    weight = net.backbone.blocks[0].attn.qkv.weight
    before = weight.detach().clone()
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter)
    joint.step()
    step = (before - weight).detach()
    # orthogonal up to the rate and .2 sqrt(longer side); the iteration of Newton and Schulz ends near 1, not at it
    singular = torch.linalg.svdvals(step) / (4e-4 * 0.2 * max(step.shape) ** 0.5)
    assert 0.5 < singular.min() and singular.max() < 1.4


def test_learning_rate_schedules():
    milestones = lr_factor(tiny_config("TRAIN.SCHEDULER.TYPE=Mstep", "TRAIN.SCHEDULER.MILESTONES=[2,3]"), 10)
    assert [round(milestones(step), 6) for step in (0, 19, 20, 29, 30)] == [1, 1, 0.1, 0.1, 0.01]
    step = lr_factor(tiny_config("TRAIN.SCHEDULER.TYPE=step", "TRAIN.LR_DROP_EPOCH=2"), 10)
    assert [round(step(i), 6) for i in (0, 19, 20, 40)] == [1, 1, 0.1, 0.01]
    cosine = lr_factor(tiny_config("TRAIN.EPOCH=2", "TRAIN.WARMUP_STEPS=4", "TRAIN.SCHEDULER.TYPE=cosine"), 10)
    assert cosine(0) == pytest.approx(0.25)
    assert cosine(10) == pytest.approx(0.5)
    assert cosine(20) == pytest.approx(0)


def test_checkpoints_with_code_in_them_are_refused(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "harm"), "w"))

    path = tmp_path / "bomb.pth.tar"
    torch.save({"net": Bomb()}, path)
    with pytest.raises(CheckpointError, match="refused"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    assert not (tmp_path / "harm").exists()


def test_truncated_checkpoints_are_named(tmp_path):
    path = train(tmp_path).save()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"ep0001.*(truncated|refused)"):
        read_checkpoint(path)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_trains_and_validates(tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(trainer_module, "fast_half_precision", lambda _device: dtype)
    trainer = train(tmp_path, "TRAIN.AMP=true", "TRAIN.ACCUMULATION=2", "TRAIN.EPOCH=3")
    assert trainer.scaler.is_enabled() == (dtype is torch.float16)
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in trainer.actor.net.parameters())
    figures = trainer._validate(StopSignals())
    assert {"Loss/total", "Loss/cls", "Loss/l1", "Loss/giou", "IoU", "matched_IoU", "score_gap", "redraws"} == set(
        figures
    )
    assert 0 <= figures["IoU"] <= 1


def test_status_of_the_best_query():
    box = torch.tensor([[0.5, 0.5, 0.2, 0.2]])
    prediction = {
        "pred_logits": torch.tensor([[-9.0, 2.0]]),
        "pred_boxes": torch.tensor([[[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.2, 0.1]]]),
    }
    status = overlap_status(prediction, torch.tensor([[True, False]]), box)
    iou, _ = iou_and_giou(torch.tensor([0.4, 0.4, 0.6, 0.6]), torch.tensor([0.4, 0.45, 0.6, 0.55]))
    assert status["IoU"].item() == pytest.approx(iou.item())
    assert status["matched_IoU"].item() == pytest.approx(1)
    assert status["score_gap"].item() == pytest.approx(abs(torch.tensor(2.0).sigmoid().item() - 0.5), abs=1e-6)


def test_out_of_memory_names_the_keys_that_help(tmp_path, monkeypatch):
    def hungry(self, data):
        raise torch.OutOfMemoryError("tried to allocate 80 GiB")

    monkeypatch.setattr(SDTrackActor, "forward_pass", hungry)
    with pytest.raises(TrainingError, match=r"80 GiB.*TRAIN\.BATCH_SIZE.*TRAIN\.ACTIVATION_CHECKPOINTING=true"):
        train(tmp_path)


def test_a_loader_worker_that_dies_ends_the_run_with_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr(Synthetic, "frame", lambda *_: os._exit(3))
    with pytest.raises(DataError, match=r"worker process died .*TRAIN\.NUM_WORKER"):
        train(tmp_path, "TRAIN.NUM_WORKER=1")


class FakeWandb(ModuleType):
    """Keeps what it is told."""

    def __init__(self):
        super().__init__("wandb")
        self.told = []

    def init(self, **options):
        self.told.append(options)
        return self

    Error = RuntimeError

    def log(self, figures):
        self.told.append(figures)

    def finish(self):
        self.told.append("finished")


def test_wandb_gets_the_figures_where_it_is_asked_for(tmp_path, monkeypatch):
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    cfg = tiny_config()
    monkeypatch.setattr("lib.train.run_training.local_paths", lambda *_: LocalPaths(save_dir=tmp_path))
    run_training("sdtrack", "demo", cfg, save_dir=str(tmp_path), device="cpu", use_wandb=True)
    first, train_figures, val_figures, last = wandb.told
    assert (first["project"], first["name"]) == ("sdtrack", "demo")
    assert first["config"] == cfg.to_dict()
    assert (len(first["id"]), first["resume"]) == (12, "allow")
    assert train_figures["epoch"] == 1
    assert {"train/Loss/total", "train/matched_IoU", "train/pairs_per_s"} <= set(train_figures)
    assert "val/IoU" in val_figures
    assert last == "finished"
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match="pip install wandb"):
        TrainingLog(tmp_path, {})


def test_progress_goes_to_the_log_where_there_is_no_terminal(tmp_path, messages):
    train(tmp_path, "TRAIN.PRINT_INTERVAL=1")
    line = next(line for line in messages().splitlines() if line.startswith("[train 1, 1/2]"))
    for word in ("total", "cls", "l1", "giou", "IoU", "matched_IoU", "pairs/s", "data wait", "left"):
        assert word in line
    assert line in (tmp_path / "logs" / "sdtrack" / "demo" / "train.log").read_text()


def test_a_run_that_goes_on_with_another_number_of_processes_keeps_its_rates(tmp_path):
    options = ("TRAIN.EPOCH=2", "DATA.TRAIN.SAMPLE_PER_EPOCH=16")
    path = train(tmp_path, *options).save()
    content = read_checkpoint(path)
    content["rng"], content["step"] = content["rng"] * 2, 4  # as of two processes: two steps an epoch
    save_checkpoint(path, content)
    assert train(tmp_path, *options, resume="auto").step == 8
    # in the middle of the second epoch, at a place where one process is between two of its steps
    content |= {"epoch": 1, "position": 6, "validation_due": False}
    path.unlink()
    save_checkpoint(checkpoint_path(path.parent, "SDTrack", 1, 6), content)
    trainer = train(tmp_path, *options, resume="auto")
    assert (trainer.epoch, trainer.step, trainer.exit_code) == (2, 4 + 1 + 2, 0)

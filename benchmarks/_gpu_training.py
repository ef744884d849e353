"""The training parts of gpu.py: pairs per second, memory, parts of a step, forms of BoxRPB, and loss curves."""

import gc
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import torch
from _gpu_measure import medians_ms, print_figure, trainer_of, wait
from torch.profiler import ProfilerActivity, profile

from lib.deploy.backends import make_find
from lib.deploy.onnx_graphs import example
from lib.errors import TrainingError


def training(device: torch.device, quick: bool) -> None:
    """Pairs per second and memory by batch, precision and compilation; parts of a step; waits for the device."""
    config = "demo" if quick else "vitb_300"
    runs = [("true", 64, "false"), ("true", 128, "false"), ("true", 32, "false"), ("false", 16, "false")]
    runs = [("true", 2, "false")] if quick else [*runs, ("true", 64, "true")]  # AMP, batch, COMPILE
    for number, (amp, batch, compiled) in enumerate(runs):
        label = f"training.{config}.batch_{batch}" + (".fp32" if amp == "false" else "")
        label += ".compiled" if compiled == "true" else ""
        options = [f"TRAIN.AMP={amp}", f"TRAIN.COMPILE={compiled}"]
        try:
            measure_steps(label, config, device, batch, options, steps=1 if quick else 8, parts=number == 0)
        except TrainingError as error:  # such as out of memory: go on with the other runs
            print_figure(label, str(error).splitlines()[0])


def measure_steps(
    label: str, config: str, device: torch.device, batch: int, options: list[str], *, steps: int, parts: bool
) -> None:
    """Measure pairs per second and memory of one kind of training. parts: measure the parts of a step as well."""
    gc.collect()  # otherwise the memory of the previous run would count
    with tempfile.TemporaryDirectory() as folder:
        trainer, batches = trainer_of(Path(folder), config, device, batch, options)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        for _ in range((steps + 1) // 2):
            trainer._train_step(batches)
        wait(device)
        started = time.perf_counter()
        for _ in range(steps):
            trainer._train_step(batches)
        wait(device)
        print_figure(f"{label}.pairs_per_s", steps * batch / (time.perf_counter() - started))
        if device.type == "cuda":
            print_figure(f"{label}.memory_GiB", torch.cuda.max_memory_allocated(device) / 2**30)
        if parts:
            parts_of_a_step(label, trainer, batches[0], device)


def parts_of_a_step(label: str, trainer, batch: dict, device: torch.device) -> None:
    """Time of forward pass, losses, backward pass and optimizer; operators by share; code that waits for the device."""
    data = trainer.prepare({key: value for key, value in batch.items() if key != "redraws"}, device)
    found: dict = {}

    def forward() -> None:
        with torch.autocast(device.type, trainer.amp_dtype, enabled=trainer.amp_dtype is not None):
            found["answer"] = trainer.actor.forward_pass(data)

    def losses() -> None:
        with torch.autocast(device.type, trainer.amp_dtype, enabled=trainer.amp_dtype is not None):
            found["loss"] = trainer.actor.compute_losses(found["answer"], data["search_anno"][0])[0]

    jobs = {"forward": forward, "losses": losses, "backward": lambda: found["loss"].backward()}
    for name, ms in medians_ms({**jobs, "optimizer": trainer.optimizer.step}, 3, device).items():
        print_figure(f"{label}.{name}_ms", ms)
    activities = [ProfilerActivity.CPU] + ([ProfilerActivity.CUDA] if device.type == "cuda" else [])
    with profile(activities=activities) as profiler:
        trainer._train_step([batch])
        wait(device)
    rows = profiler.key_averages()
    spent = {row.key: row.self_device_time_total if device.type == "cuda" else row.self_cpu_time_total for row in rows}
    whole = sum(spent.values())
    for key in sorted(spent, key=spent.get, reverse=True)[:12]:
        print_figure(f"{label}.share.{key}", spent[key] / whole)
    if device.type == "cuda":
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            trainer._train_step([batch])
        torch.cuda.set_sync_debug_mode("default")
        places = sorted(
            {f"{Path(one.filename).name}:{one.lineno}" for one in caught if "synchroniz" in str(one.message)}
        )
        print_figure(f"{label}.waits", ", ".join(places) or "none")


CURVES = {  # name -> config overrides, TF32; all start from the same random numbers and see the same batches
    "float32": (["TRAIN.AMP=false"], False),
    "tf32": (["TRAIN.AMP=false"], True),
    "amp": (["TRAIN.AMP=true"], True),
    "amp_layer_scale": (["TRAIN.AMP=true", "MODEL.BACKBONE.LAYER_SCALE=0.1"], True),
}


def curves(device: torch.device, quick: bool) -> None:
    """Loss in the first steps of a training: what TF32, mixed precision and layer scale change.

    The loss is averaged over windows of steps. "apart" is the mean distance of the windows from those of float32,
    relative to the loss.
    """
    config, steps, window, batch = ("demo", 6, 2, 2) if quick else ("vits_300", 300, 50, 8)
    exact = None
    for name, (options, precise) in CURVES.items():
        with tempfile.TemporaryDirectory() as folder:
            torch.manual_seed(0)
            trainer, batches = trainer_of(Path(folder), config, device, batch, options, batches=8, tf32=precise)
            losses = [trainer._train_step([batches[step % 8]])[0][0]["Loss/total"] for step in range(steps)]
            means = torch.stack([torch.as_tensor(loss) for loss in losses]).float().view(-1, window).mean(dim=1).cpu()
        for number, mean in enumerate(means.tolist(), start=1):
            print_figure(f"curves.{name}.step_{number * window}.loss", mean)
        exact = means if exact is None else exact
        print_figure(f"curves.{name}.apart", ((means - exact).abs() / exact).mean().item())


def boxrpb(device: torch.device, quick: bool) -> None:
    """Speed and memory of the forms of BoxRPB's bias, in training and tracking."""
    config, batch = ("demo", 2) if quick else ("vitb_300", 32)
    for form in ("mask", "onehot"):
        with tempfile.TemporaryDirectory() as folder:
            options = ["TRAIN.AMP=auto", f"MODEL.DECODER.BOX_RPB_FORM={form}"]
            trainer, batches = trainer_of(Path(folder), config, device, batch, options)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            ms = medians_ms({"": partial(trainer._train_step, batches)}, 1 if quick else 5, device)[""]
            print_figure(f"boxrpb.{form}.training.pairs_per_s", 1000 * batch / ms)
            if device.type == "cuda":
                print_figure(f"boxrpb.{form}.training.memory_GiB", torch.cuda.max_memory_allocated(device) / 2**30)
            network = trainer.net.eval()
            cfg = trainer.actor.cfg
            sizes = cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE
            template, box, search = (value.to(device) for value in example(sizes))
            with torch.inference_mode():
                backend = "cuda-graph-bf16" if device.type == "cuda" else "torch"
                find = partial(
                    make_find(backend, network, device, sizes), network.encode_template(template, box), search
                )
                print_figure(f"boxrpb.{form}.tracking.ms", medians_ms({"": find}, 2 if quick else 30, device)[""])

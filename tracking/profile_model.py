"""Measure the cost of a network: parameters, operations, time and memory.

    python tracking/profile_model.py --config vitb_300
    python tracking/profile_model.py --config vitb_300 --backend openvino
    python tracking/profile_model.py --config vitb_300 --train 32

The weights are random. By default one template and one search crop pass through PyTorch, measured part by part;
--backend adds a frame (one search crop only) with that backend; --train N measures forward and backward passes of N
pairs. p50, p90 and p99 are percentiles of the time in milliseconds; memory is that of tensors other than the weights.
"""

import _init_paths  # noqa: F401

import argparse
import json

import numpy as np
import torch

from lib.config.loader import load_config
from lib.deploy.profile import PartCost, peak_memory, profile_network, time_calls, time_parts
from lib.registry import DEFAULT_SCRIPT, find_part
from lib.deploy.backends import make_find
from lib.utils.cli import add_backend_argument, add_override_argument, run_command
from lib.utils.device import choose_device
from lib.utils.files import write_atomically

PERCENTILES = (50, 90, 99)


def main() -> None:
    parser = arguments()
    args = parser.parse_args()
    if args.rounds < 1 or args.train < 0:
        parser.error(
            f"--rounds {args.rounds} --train {args.train}: need at least one round, and --train N with N from 0 on"
        )
    cfg = load_config(args.script, args.config, args.overrides)
    device = choose_device(args.device)
    network = find_part(args.script, "build")(cfg, training=False).to(device)
    sizes = cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE
    number = args.train or 1
    template, search = (torch.zeros(number, 3, size, size, device=device) for size in sizes)
    box = torch.tensor([[0.25, 0.25, 0.5, 0.5]], device=device).expand(number, -1)
    parts = profile_network(network, template[:1], search[:1], box[:1])
    print(
        f"{args.script}/{args.config} on {device}, {torch.get_num_threads()} CPU threads: template of {sizes[0]} px, "
        f"search crop of {sizes[1]} px"
    )
    figures: dict[str, float] = {}
    for part in parts:
        figures |= {f"{part.name}.parameters": part.parameters, f"{part.name}.macs": part.macs}
    network.train(bool(args.train))

    def forward() -> dict:
        return network(template, search, box)

    def step() -> None:
        network.zero_grad()
        answer = forward()
        started = [value.float().sum() for value in answer.values() if isinstance(value, torch.Tensor)]
        torch.stack(started).sum().backward()

    with torch.set_grad_enabled(bool(args.train)):
        times = time_parts(network, forward, args.rounds)
        if args.train:
            times["forward + backward"] = time_calls(step, args.rounds, device)
        memory = {f"{number} pair(s)": peak_memory(step if args.train else forward, device)}
    if args.backend:
        with torch.inference_mode():
            tokens, image = network.eval().encode_template(template[:1], box[:1]), search[:1]
            find = make_find(args.backend, network, device, sizes)
            times[f"frame, {args.backend}"] = time_calls(lambda: find(tokens, image), args.rounds, device)
            if args.backend == "torch":
                memory["frame"] = peak_memory(lambda: find(tokens, image), device)
    figures |= print_times(parts, times)
    for name, value in memory.items():
        print(f"memory of {name}: {value / 1e6:.1f} MB")
        figures[f"{name}.bytes"] = value
    if args.json:
        text = json.dumps(figures, indent=2) + "\n"
        write_atomically(args.json, lambda file: file.write_text(text, encoding="utf-8"))


def print_times(parts: list[PartCost], times: dict[str, np.ndarray]) -> dict[str, float]:
    """Print a table with the costs and the times of the parts. times: name -> seconds (rounds,).

    Returns the percentiles in milliseconds by name.
    """
    figures: dict[str, float] = {}
    print(f"{'part':<26}{'parameters (M)':>16}{'GMACs':>10}" + "".join(f"{f'p{p} ms':>10}" for p in PERCENTILES))
    counted = {part.name: part for part in parts}
    for name, seconds in times.items():
        part, milliseconds = counted.get(name), 1000 * np.percentile(seconds, PERCENTILES)
        counts = f"{part.parameters / 1e6:>16.2f}{part.macs / 1e9:>10.2f}" if part else " " * 26
        print(f"{name:<26}{counts}" + "".join(f"{value:>10.2f}" for value in milliseconds))
        figures |= {f"{name}.p{p}_ms": value for p, value in zip(PERCENTILES, milliseconds.tolist())}
    return figures


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--script", default=DEFAULT_SCRIPT, help="which tracker, such as sdtrack")
    parser.add_argument("--config", required=True, help="name of a yaml in experiments/<script>")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; default: the GPU if there is one")
    add_backend_argument(parser, default=None)
    parser.add_argument("--train", type=int, default=0, metavar="N", help="measure training passes of N pairs")
    parser.add_argument("--rounds", type=int, default=20, help="number of timed passes")
    parser.add_argument("--json", metavar="FILE", help="also write the figures to this file, as one flat dictionary")
    add_override_argument(parser)
    return parser


if __name__ == "__main__":
    run_command(main)

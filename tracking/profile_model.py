"""Parameters and arithmetic of a network: python tracking/profile_model.py --script sdtrack --config vitb_300"""

import _init_paths  # noqa: F401

import argparse

import torch

from lib.config.loader import load_config
from lib.models.profile import profile_network
from lib.registry import find_part
from lib.utils.cli import add_override_argument, run_command


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--script", default="sdtrack", help="which tracker, such as sdtrack")
    parser.add_argument("--config", required=True, help="name of a yaml in experiments/<script>")
    add_override_argument(parser)
    args = parser.parse_args()
    cfg = load_config(args.script, args.config, args.overrides)
    network = find_part(args.script, "build")(cfg, training=False)
    template, search = (torch.zeros(1, 3, size, size) for size in (cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE))
    parts = profile_network(network, template, search, torch.tensor([[0.25, 0.25, 0.5, 0.5]]))
    print(f"{args.script}/{args.config}: template of {template.shape[-1]} px, search of {search.shape[-1]} px, batch 1")
    print(f"{'part':<18}{'parameters (M)':>16}{'GMACs':>10}")
    for part in parts:
        print(f"{part.name:<18}{part.parameters / 1e6:>16.2f}{part.macs / 1e9:>10.2f}")


if __name__ == "__main__":
    run_command(main)

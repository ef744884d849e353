"""Cost of BoxRPB in time and memory per frame, for each of its forms.

<form>.time_share: share of a frame's time in the network that BoxRPB takes; medians of alternate runs with PyTorch.
<form>.peak_memory_ratio: peak memory of the tensors of one decoder layer, divided by the sum of the peak memory of a
layer without BoxRPB and the size of B_x and B_y.
<form>.bias_memory_ratio: the same ratio with precomputed B_x and B_y, without the MLPs that compute them.
"""

from _common import interleaved, report

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from lib.config.loader import load_config
from lib.deploy.profile import peak_memory
from lib.models.sdtrack import build_sdtrack
from lib.deploy.backends import with_stacked_weights
from lib.deploy.onnx_graphs import example
from lib.utils.device import choose_device

FORMS = {
    "plain": "MODEL.DECODER.BOX_RPB=false",
    "mask": "MODEL.DECODER.BOX_RPB_FORM=mask",
    "onehot": "MODEL.DECODER.BOX_RPB_FORM=onehot",
}


@dataclass
class Given:
    """Replacement for BiasWeights with precomputed terms."""

    values: tuple[Tensor, Tensor]

    def terms(self, _boxes: Tensor, _grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return B_x and B_y."""
        return self.values


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="vitb_300")
    parser.add_argument("--device")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--quick", action="store_true", help="a small network, one round, only to check that it runs")
    parser.add_argument("--json", metavar="FILE")
    args = parser.parse_args()
    if args.quick:
        args.config, args.rounds = "demo", 1
    torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    frames: dict[str, Callable[[int], object]] = {}
    memory: dict[str, int] = {}
    for form, override in FORMS.items():
        cfg = load_config("sdtrack", args.config, ["MODEL.PRETRAIN_FILE=none", override])
        torch.manual_seed(0)
        network = build_sdtrack(cfg, training=False).eval().to(device)
        template, box, search = (value.to(device) for value in example((cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE)))
        frames[form] = frame_of(network, network.encode_template(template, box), search, device)
        decoder, count = network.decoder, cfg.MODEL.QUERY.NUM
        features = torch.randn(1, cfg.MODEL.HIDDEN_DIM, *network.backbone.search_grid, device=device)
        weights = decoder.stack()
        keys, values = decoder.keys_and_values(features, weights.stacked, form)
        own = weights.part(0, decoder.num_streams)
        streams, positions = torch.randn(2, decoder.num_streams, 1, count, cfg.MODEL.HIDDEN_DIM, device=device)
        boxes = torch.rand(1, count, 4, device=device)
        layer = partial(decoder.layers[0], streams, positions, keys[0], values[0], boxes)
        layer(own, form)
        memory[form] = peak_memory(partial(layer, own, form), device)
        if form != "plain":
            terms = own.bias.terms(boxes, network.backbone.search_grid)
            extra = sum(term.nbytes for term in terms)
            given = replace(own, bias=Given(terms))
            memory[f"{form}.given"] = peak_memory(partial(layer, given, form), device) + extra
    times = {form: seconds.median for form, seconds in interleaved(frames, args.rounds).items()}
    figures: dict[str, float] = {}
    allowed = memory["plain"] + extra
    for form in ("mask", "onehot"):
        figures |= {
            f"{form}.ms": 1000 * times[form],
            f"{form}.time_share": 1 - times["plain"] / times[form],
            f"{form}.peak_memory_ratio": memory[form] / allowed,
            f"{form}.bias_memory_ratio": memory[f"{form}.given"] / allowed,
        }
    report(figures, args.json)


def frame_of(network: nn.Module, tokens: Tensor, search: Tensor, device: torch.device) -> Callable[[int], object]:
    """Return a function that computes one frame and waits for the device."""
    track = with_stacked_weights(network)

    def frame(_round: int) -> None:
        track(tokens, search)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return frame


if __name__ == "__main__":
    main()

"""How many kernels a frame takes, and that none of them waits for the host: what a GPU's speed hangs on."""

from contextlib import suppress

import pytest
import torch
from doubles import telling_weights, tiny_config
from operations import Operations, on_fake_gpu
from plain_network import plain_answer
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from lib.config.loader import load_config
from lib.deploy.backends import with_stacked_weights
from lib.models.layers import sampling
from lib.models.sdtrack import build_sdtrack
from lib.registry import find_part

CEILINGS = {  # operations a frame: on a GPU, on a CPU
    ("sdtrack", "vitb_300"): (680, 750),
    ("sdtrack", "vitt_scratch"): (270, 300),
    ("sdtrack", "lite_224"): (400, 430),
    ("ostrack", "vitb_256_mae_32x4_ep300"): (216, 216),
}
COUPLINGS = ["decoupled", "independent", "shared"]


def network_of(script, config):
    cfg = load_config(script, config, ["MODEL.PRETRAIN_FILE=none"])
    network = find_part(script, "build")(cfg, training=False).eval()
    network.prepare_for_tracking()
    return network, cfg.DATA.TEMPLATE.SIZE, cfg.DATA.SEARCH.SIZE


@pytest.mark.parametrize(("script", "config"), CEILINGS)
@torch.inference_mode()
def test_a_frame_on_a_gpu_is_few_operations_and_waits_for_nothing(script, config):
    network, template, search = network_of(script, config)
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        on_fake_gpu(network, mode)
        images, boxes = torch.empty(1, 3, template, template, device="cuda"), torch.empty(1, 4, device="cuda")
        crop = torch.empty(1, 3, search, search, device="cuda")
        track = with_stacked_weights(network)
        with Operations() as encoding:
            tokens = network.encode_template(images, boxes)
        with Operations() as tracking:
            answer = track(tokens, crop)
    assert answer["pred_boxes"].device.type == "cuda"
    assert not encoding.waits and not tracking.waits
    assert "dropout" not in tracking.counts
    assert tracking.total <= CEILINGS[script, config][0], tracking.counts
    print(f"{config}: {tracking.total} operations on a GPU")


@pytest.mark.parametrize(("script", "config"), CEILINGS)
@torch.inference_mode()
def test_a_frame_on_a_cpu_is_few_operations(script, config):
    network, template, search = network_of(script, config)
    track = with_stacked_weights(network)
    tokens = network.encode_template(torch.zeros(1, 3, template, template), torch.full((1, 4), 0.25))
    with Operations() as tracking:
        track(tokens, torch.zeros(1, 3, search, search))
    assert not tracking.waits
    assert tracking.total <= CEILINGS[script, config][1], tracking.counts
    print(f"{config}: {tracking.total} operations on a CPU")


@pytest.mark.parametrize("fault", ["a tensor of Python numbers", "a value that the host reads", "a copy from the host"])
@torch.inference_mode()
def test_the_check_notices_a_wait(fault):
    network, *_ = network_of("ostrack", "demo")
    track = network.box_head.forward

    def waiting(features):
        if fault == "a tensor of Python numbers":
            torch.tensor([1.0, 2.0])
        elif fault == "a value that the host reads":
            features.sum().item()
        else:
            ones.to(features.device)
        return track(features)

    network.box_head.forward = waiting
    with FakeTensorMode() as mode:
        on_fake_gpu(network, mode)
        ones = torch.ones(2)
        crop = torch.empty(1, 3, 128, 128, device="cuda")
        tokens = torch.empty(1, 16, network.backbone.dim, device="cuda")
        with Operations() as tracking, suppress(DataDependentOutputException):  # fake tensors hold no value to read
            network.track(tokens, crop)
    assert tracking.waits


@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("options", [["MODEL.DECODER.BOX_RPB_FORM=mask"], ["MODEL.DECODER.BOX_RPB_FORM=onehot"],
                                     ["MODEL.DECODER.BOX_RPB=false"]])  # fmt: skip
@torch.inference_mode()
def test_stacked_branches_equal_the_plain_form(coupling, options):
    cfg = tiny_config(f"MODEL.DECODER.COUPLING={coupling}", *options)
    network = telling_weights(build_sdtrack(cfg, training=False)).eval().double()
    template, search = (torch.randn(2, 3, size, size, dtype=torch.double) for size in (32, 64))
    tokens = network.encode_template(template, torch.tensor([[0.3, 0.2, 0.4, 0.6]] * 2, dtype=torch.double))
    answer = network.track(tokens, search, network.stack())
    outputs, points = plain_answer(network, tokens, search)
    assert outputs[-1][0].std() > 0.01 and outputs[-1][1].std() > 0.01, "the weights tell candidates apart"
    for given, (logits, boxes) in zip([*answer["aux_outputs"], answer], outputs, strict=True):
        assert given["pred_logits"].dtype == given["pred_boxes"].dtype == torch.double
        torch.testing.assert_close(given["pred_logits"], logits, atol=1e-9, rtol=0)
        torch.testing.assert_close(given["pred_boxes"], boxes, atol=1e-9, rtol=0)
    selected = network.query_selection(network.neck(network.backbone(tokens, search), network.backbone.search_grid))
    for ours, plain in zip(selected.points, points, strict=True):
        torch.testing.assert_close(ours, plain, atol=1e-9, rtol=0)


@torch.inference_mode()
def test_single_precision_is_near_the_double(monkeypatch):
    network = telling_weights(build_sdtrack(tiny_config(), training=False)).eval()
    template, search = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 64, 64)
    boxes = torch.tensor([[0.3, 0.2, 0.4, 0.6]])
    tokens = network.encode_template(template, boxes)
    single = network.track(tokens, search)
    monkeypatch.setattr(sampling, "_has_kernels", lambda _features: True)
    by_kernels = network.track(tokens, search)
    monkeypatch.undo()
    network.double()
    double = network.track(network.encode_template(template.double(), boxes.double()), search.double())
    for answer in (single, by_kernels):
        order, expected = (x["pred_logits"][0].argsort() for x in (answer, double))
        for name, tolerance in (("pred_logits", 1e-5), ("pred_boxes", 2e-6)):
            found, wanted = answer[name][0][order], double[name][0][expected]
            torch.testing.assert_close(found.double(), wanted, atol=tolerance, rtol=0)


@pytest.mark.parametrize("shape", [(8, 8), (6, 9)])
def test_kernels_of_a_gpu_sample_as_the_dense_products_do(shape):
    """On a CPU, where torchvision and PyTorch have the same kernels."""
    features = torch.randn(2, 3, *shape, 5, dtype=torch.double, requires_grad=True)
    boxes = torch.tensor([[0.3, 0.4, 0.4, 0.6], [0.05, 0.05, 0.7, 0.5], [1.0, 0.9, 0.6, 0.8], [0.5, 0.5, 0, 0]])
    boxes = torch.stack([boxes, boxes.flip(0), boxes / 2]).double()
    low, high = boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2
    dense = sampling.roi_align(features, boxes, 5)
    kernel = sampling._roi_align_by_kernel(features, low, high, 5)
    torch.testing.assert_close(kernel, dense, atol=1e-12, rtol=0)
    weight = torch.randn_like(dense)
    (a,), (b,) = (torch.autograd.grad((x * weight).sum(), features) for x in (dense, kernel))
    torch.testing.assert_close(a, b, atol=1e-12, rtol=0)

    maps = torch.randn(3, 5, *shape, dtype=torch.double, requires_grad=True)
    points = torch.rand(3, 7, 4, 2, dtype=torch.double) * 1.6 - 0.3
    points.requires_grad_()
    dense, kernel = sampling.sample_points(maps, points), sampling._sample_by_kernel(maps, points)
    torch.testing.assert_close(kernel, dense, atol=1e-12, rtol=0)
    weight = torch.randn_like(dense)
    for a, b in zip(*(torch.autograd.grad((x * weight).sum(), (maps, points)) for x in (dense, kernel))):
        torch.testing.assert_close(a, b, atol=1e-10, rtol=0)

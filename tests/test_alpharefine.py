"""AlphaRefine: the authors' weights by name and shape, crops and masks, and files that are refused."""

import json
import os
import pickle
import subprocess
import sys
import types

import cv2
import numpy as np
import pytest
import torch
from doubles import PROJECT, REFERENCE
from torch import nn

from external.alpharefine.networks import ARnetSegMask, SEcmnet
from external.alpharefine.refiner import AlphaRefine, Window
from external.alpharefine.weights import WeightsError, load_alpharefine, read_state

NETWORKS = {
    "A": (SEcmnet, "alpharefine_state_dict.json", 23.83, (256, 8)),
    "B": (ARnetSegMask, "alpharefine_arseg_state_dict.json", 30.16, (1024, 12)),
}
A18 = SEcmnet(18)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_authors_weights_load_strictly_by_name_shape_and_type(name, tmp_path):
    build, file, millions, _ = NETWORKS[name]
    listed = json.loads((REFERENCE / file).read_text())
    generator = torch.Generator().manual_seed(0)
    state = {
        key: torch.rand(shape, generator=generator) if kind == "float32" else torch.zeros(shape, dtype=torch.int64)
        for key, shape, kind in listed
    }
    torch.save({"net": state, "epoch": 40}, tmp_path / "x.pth.tar")
    network = load_alpharefine(tmp_path / "x.pth.tar")
    assert type(network) is build
    assert set(network.state_dict()) == set(state)
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())
    assert sum(item.numel() for item in network.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)


@pytest.mark.parametrize("name", NETWORKS)
@torch.inference_mode()
def test_masks_have_the_size_of_the_crop_and_lie_in_0_to_1(name):
    build, _, _, (channels, cells) = NETWORKS[name]
    torch.manual_seed(0)
    network = build().eval()
    size = network.crop_size
    images = torch.randn(2, 3, size, size)
    boxes = torch.tensor([[0.25, 0.25, 0.75, 0.75]] * 2) * size
    kernel = network.encode_template(images, boxes)
    assert kernel.shape == (2, channels, cells, cells)
    mask = network(kernel, images)
    assert mask.shape == (2, 1, size, size)
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert torch.equal(mask, network(kernel, images)), "deterministic"
    torch.testing.assert_close(network(kernel[1:], images[1:]), mask[1:], atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_corners_are_the_means_of_their_heat_maps():
    corners = A18.eval().corners(torch.randn(1, 256, 8, 8), torch.randn(1, 3, 256, 256))
    assert corners.shape == (1, 4)
    assert ((corners >= 0) & (corners <= 240)).all()
    head = A18.corner_head
    with torch.no_grad():
        fused = torch.zeros(1, 64, 16, 16)
        captured = []
        hook = head.conv5_tl.register_forward_hook(
            lambda _m, _i, out: captured.append(out) or torch.full_like(out, -50).index_put_(
                tuple(torch.tensor([[0], [0], [3], [7]])), torch.tensor([50.0]))
        )  # fmt: skip
        found = head(fused)
        hook.remove()
    assert found[0, :2].tolist() == pytest.approx([7 * 16, 3 * 16], abs=1e-3), "x is the column, y the row"


def test_windows_are_twice_the_box_each_way_cut_with_zeros_and_pasted_back():
    window = Window.around([10, 20, 30, 8])
    assert (window.width, window.height, window.left, window.top) == (60, 16, -5, 16)
    image = np.full((40, 50, 3), 200, np.uint8)
    crop = window.cut(image, 120)
    assert crop.shape == (120, 120, 3)
    assert not crop[:, :8].any(), "left of the image"
    assert (crop[:, 12:100] == 200).all()
    whole = window.paste(np.ones((120, 120), np.float32), (40, 50))
    assert whole.shape == (40, 50)
    assert whole[16:32].all()
    assert not whole[:16].any()
    assert not whole[32:].any()
    assert not Window.around([500, 500, 4, 4]).paste(np.ones((8, 8), np.float32), (40, 50)).any()
    assert Window.around([5, 5, 0.1, 0.1]).width == 2


def test_cut_and_paste_are_inverses_up_to_resampling():
    image = np.zeros((90, 120, 3), np.uint8)
    cv2.ellipse(image, (60, 45), (20, 9), 0, 0, 360, (255, 255, 255), -1)
    window = Window.around([40, 36, 40, 18])
    back = window.paste(window.cut(image, 384)[..., 0].astype(np.float32) / 255, (90, 120))
    assert ((back > 0.5) == (image[..., 0] > 0)).mean() > 0.998


class Copies(nn.Module):
    """A network whose mask is the brightness of the crop."""

    crop_size = 64

    def encode_template(self, images, boxes):
        self.boxes = boxes
        return images

    def forward(self, _kernel, images):
        return images.mean(1, keepdim=True).sigmoid()


def test_a_session_refines_a_trackers_box_in_the_image():
    image = np.zeros((60, 80, 3), np.uint8)
    image[20:30, 40:60] = 255
    refiner = AlphaRefine(Copies())
    refiner.initialize(image, [40, 20, 20, 10])
    assert refiner.network.boxes[0].tolist() == [15.5, 15.5, 47.5, 47.5], "the middle half, as the authors have it"
    mask = refiner.refine(image, [41, 20, 20, 10])
    assert mask.shape == (60, 80)
    assert mask.dtype == np.float32
    found = mask > 0.65
    assert (found[20:30, 40:60]).mean() > 0.95
    assert found.sum() < 1.2 * 200


def save(path, content):
    torch.save(content, path)
    return path


def test_objects_of_the_training_code_become_inert(tmp_path, monkeypatch):
    theirs = "ltr.admin.model_constructor"
    constructor = type("NetConstructor", (), {"__module__": theirs})()
    constructor.kwds = {"pool_size": 8}
    for zipped in (True, False):
        with monkeypatch.context() as patch:
            for name in ("ltr", "ltr.admin", theirs):
                patch.setitem(sys.modules, name, types.ModuleType(name))
            sys.modules[theirs].NetConstructor = type(constructor)
            content = {"net": A18.state_dict(), "constructor": constructor}
            torch.save(content, tmp_path / "x.pth.tar", _use_new_zipfile_serialization=zipped)
        network = load_alpharefine(tmp_path / "x.pth.tar")
        assert len(network.feature_extractor.layer3) == 2, "ResNet-18"
        assert torch.equal(network.mask_head.post2.weight, A18.mask_head.post2.weight)


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_nothing(tmp_path, zipped):
    marker = tmp_path / "ran"
    content = {"net": A18.state_dict(), "constructor": Evil(marker)}
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=zipped)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil(marker)))
    for file in ("x.pth", "plain.pth"):
        with pytest.raises(WeightsError, match=file):
            load_alpharefine(tmp_path / file)
    assert not marker.exists()
    pickle.loads((tmp_path / "plain.pth").read_bytes())
    assert marker.exists(), "it would have run"


def test_what_does_not_fit_is_named(tmp_path):
    state = A18.state_dict()
    with pytest.raises(WeightsError, match=r"1 keys do not fit SEcmnet \(neck.post_corr.0.weight"):
        load_alpharefine(
            save(tmp_path / "a", {"net": {k: v for k, v in state.items() if k != "neck.post_corr.0.weight"}})
        )
    with pytest.raises(WeightsError, match="neither SEcmnet"):
        load_alpharefine(save(tmp_path / "b", {"net": {"x": torch.zeros(1)}}))
    with pytest.raises(WeightsError, match="expected a dictionary of tensors"):
        read_state(save(tmp_path / "c", {"net": 3}))
    with pytest.raises(WeightsError, match="no such file"):
        read_state(tmp_path / "gone")
    whole = save(tmp_path / "d", {"net": state}).read_bytes()
    (tmp_path / "d").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(WeightsError, match="truncated"):
        read_state(tmp_path / "d")


def test_it_can_be_imported_without_the_rest():
    code = "import sys, external.alpharefine.refiner, external.alpharefine.weights; assert 'lib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)

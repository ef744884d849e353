"""What is something else than it is taken for: the error says what it is, and names the way out."""

import subprocess
import sys

import av
import cv2
import numpy as np
import pytest
import torch
from doubles import PROJECT, REAL_DATA, needs_real_data, tiny_config
from matplotlib.figure import Figure
from safetensors.torch import save_file

from lib.errors import CheckpointError, DataError, TrackingError
from lib.models.sdtrack import build_sdtrack
from lib.models.vit.pretrained import load_network
from lib.test.analysis.plots.export import save_figure
from lib.test.analysis.tables import Table, render
from lib.test.evaluation.datasets import DATASETS
from lib.test.evaluation.folderdataset import folder_sequences
from lib.test.evaluation.listeddataset import listed_sequences
from lib.test.evaluation.trackingnetdataset import trackingnet_sequences
from lib.test.vot.serve import make_session
from lib.test.vot.settings import VotSettings
from lib.train.dataset.folder import Folder
from lib.train.dataset.sources import SOURCES
from lib.train.dataset.storage import FileStorage
from lib.train.dataset.tracking_net import TrackingNet
from lib.utils.image import read_image
from lib.utils.local_paths import FOLDERS, read_local_file
from lib.utils.parsing import parse_json
from lib.utils.video import FrameSource
from lib.utils.video_file import VideoFile
from lib.utils.weight_files import read_checkpoint

PAGE = b"\n<!DOCTYPE html>\n<html><body>Sign in to download</body></html>\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n"


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (PAGE, "it is a web page, .*browser"),
        (POINTER, "it is a Git LFS pointer.*git lfs pull"),
        (b'{"message": "Not Found"}\n', r"it is a text .*message.*whether the download failed"),
        (b"\n" * 60 + b"Error 404\n", r"it is a text \(Error .*the download failed"),
    ],
)
def test_a_page_a_pointer_or_a_text_in_the_place_of_a_file(tmp_path, content, match):
    for name in ("w.pth.tar", "w.safetensors", "w.jpg", "w.mp4", "w.json"):
        (tmp_path / name).write_bytes(content)
    for name in ("w.pth.tar", "w.safetensors"):
        with pytest.raises(CheckpointError, match=match) as caught:
            read_checkpoint(tmp_path / name)
        assert "convert_checkpoint" not in str(caught.value)
    with pytest.raises(DataError, match=match):
        read_image(tmp_path / "w.jpg")
    with pytest.raises(DataError, match=match):
        VideoFile(str(tmp_path / "w.mp4"))
    if content in (PAGE, POINTER):
        with pytest.raises(ValueError, match=match):
            parse_json((tmp_path / "w.json").read_bytes())
    settings = VotSettings("static", "box", "", "log", mask="alpha_refine", alpha_refine=str(tmp_path / "w.pth.tar"))
    with pytest.raises(TrackingError, match=match):
        make_session(settings)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_wrappers_before_every_key_are_taken_off_and_said(wrapper, messages):
    network = build_sdtrack(tiny_config(), training=False)
    state = {f"{wrapper}{key}": value + 1 for key, value in network.state_dict().items()}
    load_network(network, state, "theirs.pth")
    assert all(torch.equal(value, state[wrapper + key]) for key, value in network.state_dict().items())
    assert "theirs.pth: " in messages()
    state.pop(f"{wrapper}decoder.out_norm.weight", None)
    state["other"] = torch.zeros(1)
    with pytest.raises(CheckpointError, match="do not fit this network"):
        load_network(network, state, "theirs.pth")


def test_a_home_folder_of_nobody_is_one_error(tmp_path):
    for name in ("tracking/test.py static box --dataset_name folder:~nobody-x", "tracking/check_data.py --dataset_name "
                 "folder:~nobody-x", "tracking/analysis_results.py --trackers a=~nobody-x --dataset_name synthetic",
                 "tracking/check_data.py --dataset_name got10k_val --data_dir ~nobody-x"):  # fmt: skip
        command = [sys.executable, *name.split(), "--save_dir", str(tmp_path)]
        answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
        assert answer.returncode == 1 and "Traceback" not in answer.stderr
        assert "~nobody-x: there is no home folder of this name" in answer.stderr


def test_names_under_datasets_that_no_data_set_has_are_said(tmp_path, messages):
    file = tmp_path / "local.yaml"
    file.write_text("datasets: {otb100: /a, lasot_extension_subset: /b, lasot_ext: /c, images/bsds: /d}")
    assert len(read_local_file(file)["datasets"]) == 4
    said = messages()
    assert said.count("warning: ") == 2
    assert "otb100 is not the name of a data set" in said and "lasot_extension_subset" in said


def test_every_data_sets_folder_is_known():
    used = {folder for folder, _ in DATASETS.values()} | {source.folder for source in SOURCES.values()}
    assert used - {""} | {"images"} == set(FOLDERS)


def test_nfs_at_240_frames_a_second_is_recognised(tmp_path):
    (tmp_path / "sequences" / "Gymnastics").mkdir(parents=True)
    (tmp_path / "anno").mkdir()
    line = "0 10 20 30 40 1 0 0 0 0\n"
    (tmp_path / "anno" / "nfs_Gymnastics.txt").write_text(line * 50)
    (item,) = listed_sequences(tmp_path, "nfs")
    with pytest.raises(DataError, match="10 numbers per line, the original NfS annotation at 240 frames per second"):
        len(item)


def test_zips_that_were_not_unpacked_are_named(tmp_path):
    for part in ("TEST", "TRAIN_0"):
        (tmp_path / part / "anno").mkdir(parents=True)
        (tmp_path / part / "frames").mkdir()
        (tmp_path / part / "anno" / "a_0.txt").write_text("1,2,3,4")
        (tmp_path / part / "frames" / "a_0.zip").write_bytes(b"PK")
    with pytest.raises(DataError, match=r"found a_0\.zip: unpack it"):
        len(trackingnet_sequences(tmp_path)[0])
    with pytest.raises(DataError, match=r"a_0\.zip: the frames are still packed: unpack it"):
        TrackingNet(FileStorage(tmp_path)).check(0)


def test_a_dollar_in_a_name_is_no_formula(tmp_path):
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 10, 100], label="$a_b$ costs 5$")
    axes.set(title=r"$\frac$ of \$ $", yscale="log", xlabel="$x")
    axes.legend()
    (file,) = save_figure(figure, tmp_path / "f")
    assert file.stat().st_size > 1000
    assert not axes.title.get_parse_math()
    assert axes.get_yticklabels()[0].get_parse_math(), "10 to the power of a number"


def test_a_bar_in_a_name_does_not_end_a_cell_of_markdown():
    import pandas as pd

    frame = pd.DataFrame({"AUC|x": [1.0]}, index=pd.Index(["a|b"], name="tracker"))
    text = render(Table("t", "t", frame), "markdown")
    assert r"a\|b" in text and r"AUC\|x" in text


def thermal(folder, low=7000, high=7400, first=None):
    """Frames of 16 bits that use a small part of their range: a ramp, 100 columns wide."""
    folder.mkdir(parents=True)
    ramp = np.linspace(low, high, 100).astype(np.uint16)[None].repeat(60, 0)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), ramp + np.uint16(40 * number))
    return ramp


def test_frames_of_16_bits_use_the_range_of_the_first_one(tmp_path, messages):
    thermal(tmp_path / "s" / "img")
    (tmp_path / "s" / "groundtruth.txt").write_text("5,5,20,20")
    (item,) = folder_sequences(tmp_path)
    first, last = item.video.frames[0], item.video.frames[2]
    said = messages()
    assert said.count("warning:") == 1 and "0.png: 16 bits; 7000 becomes 0 and 7400 becomes 255" in said
    assert first.dtype == np.uint8 and first[0, 0].tolist() == [0] * 3 and first[0, -1].tolist() == [255] * 3
    assert abs(int(last[0, 50, 0]) - int(first[0, 50, 0]) - 80 / 400 * 255) <= 1.5, "the same range in all frames"
    training = Folder(FileStorage(tmp_path))
    for frames in (FrameSource(str(tmp_path / "s" / "img")), [training.frame(0, number)[0] for number in range(3)]):
        assert all(np.array_equal(frame, item.video.frames[number]) for number, frame in enumerate(frames))


def test_the_types_range_can_be_kept(tmp_path, messages):
    ramp = thermal(tmp_path / "s" / "img")
    (frame, *_) = FrameSource(str(tmp_path / "s" / "img"), full_range=True)
    assert np.abs(frame[..., 0] - ramp / 257).max() <= 0.5
    (tmp_path / "s" / "groundtruth.txt").write_text("5,5,20,20")
    (item,) = folder_sequences(tmp_path)
    item.full_range = True
    assert np.array_equal(item.video.frames[0], frame)
    assert not messages()


def test_a_grey_video_of_16_bits_does_the_same(tmp_path, messages):
    ramp = thermal(tmp_path / "s")
    with av.open(str(tmp_path / "t.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.width, stream.height, stream.pix_fmt = 100, 60, "gray16le"
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(ramp + np.uint16(40 * number), format="gray16le")
            for packet in stream.encode(frame):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    pictures = list(FrameSource(str(tmp_path / "s")))
    assert all(np.array_equal(a, b) for a, b in zip(FrameSource(str(tmp_path / "t.mkv")), pictures, strict=True))
    assert messages().count("16 bits") == 2


@needs_real_data
def test_pictures_of_8_bits_are_as_before():
    file = next((REAL_DATA / "images").rglob("*.jpg"))
    assert np.array_equal(read_image(file), read_image(file, lambda: (0.0, 1.0)))


def test_anybodys_safetensors_with_a_wrapper_fit(tmp_path):
    network = build_sdtrack(tiny_config(), training=False)
    save_file(
        {f"module.{key}": value.contiguous() for key, value in network.state_dict().items()}, tmp_path / "w.safetensors"
    )
    load_network(network, read_checkpoint(tmp_path / "w.safetensors")["net"], "w.safetensors")

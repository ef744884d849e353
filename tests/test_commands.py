"""The commands, as a user types them."""

import json
import os
import re
import runpy
import shutil
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml
from doubles import PROJECT, REAL_DATA, TINY, needs_real_data
from lxml import etree

from lib.demo import SHIPPED, STATIC
from lib.synthetic import SyntheticSequence
from lib.synthetic.writer import CLIP_SEED
from lib.utils.overlap import iou

SMALL_RUN = ["--set", *TINY, "DATA.TRAIN.SAMPLE_PER_EPOCH=8", "DATA.VAL.SAMPLE_PER_EPOCH=4"]


def command(name, *arguments, cwd=PROJECT, **environment):
    return subprocess.run(
        [sys.executable, str(PROJECT / name), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, **environment},
    )


def succeeds(name, *arguments, **options):
    answer = command(name, *arguments, **options)
    assert answer.returncode == 0, f"{name} {arguments}\n{answer.stdout}\n{answer.stderr}"
    return answer.stdout


def check_error(code, text, message):
    """One line of error: of a wrong argument (exit code 2, after the usage), or of anything else (1)."""
    lines = [line for line in text.splitlines() if re.match(r"([\w.]+: )?error: ", line)]
    assert len(lines) == 1, text
    assert message in text
    assert code == (1 if lines[0].startswith("error: ") else 2)


def fails(message, name, *arguments, **options):
    answer = command(name, *arguments, **options)
    check_error(answer.returncode, answer.stderr, message)
    assert "Traceback" not in answer.stderr


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """A trained tiny network, a GOT-10k-layout data set and a video."""
    folder = tmp_path_factory.mktemp("workspace")
    for split in ("train", "val"):
        succeeds(
            "tracking/make_synthetic.py", "--to", folder / "data" / "got10k", "--split", split,
            "--number", 2, "--length", 24,
        )  # fmt: skip
    succeeds(
        "tracking/train.py", "--script", "sdtrack", "--config", "demo",
        "--data_dir", folder / "data", "--save_dir", folder / "output", *SMALL_RUN,
        "DATA.TRAIN.DATASETS_NAME=[GOT10K_train_full]", "DATA.VAL.DATASETS_NAME=[GOT10K_official_val]",
    )  # fmt: skip
    writer = cv2.VideoWriter(str(folder / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (96, 64))
    for index in range(9):
        frame = np.zeros((64, 96, 3), np.uint8)
        cv2.rectangle(frame, (20 + index, 20), (40 + index, 40), (0, 0, 255), -1)
        writer.write(frame)
    writer.release()
    return folder


def test_train_test_analyse_on_got10k_files(workspace):
    output = workspace / "output"
    options = ("--dataset_name", "got10k_val", "--data_dir", workspace / "data", "--save_dir", output)
    assert "2 of 2 sequences done" in succeeds("tracking/test.py", "sdtrack", "demo", *options)
    results = sorted((output / "results" / "sdtrack" / "demo" / "got10k_val").glob("*.txt"))
    names = [f"GOT-10k_Val_00000{number}{kind}.txt" for number in (1, 2) for kind in ("", "_score", "_time")]
    assert [path.name for path in results] == names
    before = results[0].read_text()
    assert len(before.splitlines()) == 24
    assert "2 were finished already" in succeeds("tracking/test.py", "sdtrack", "demo", *options)
    succeeds("tracking/test.py", "sdtrack", "demo", *options, "--overwrite", "--sequence", "GOT-10k_Val_000001")
    assert results[0].read_text() == before
    fails("results of another run", "tracking/test.py", "sdtrack", "demo", *options, "--set", "TEST.HANN_WEIGHT=0.9")
    table = succeeds(
        "tracking/analysis_results.py", "--trackers", "sdtrack/demo", *options, "--show", "overall", "sequences",
        "--plots", "success",
    )  # fmt: skip
    for word in ("GOT-10k_Val_000002", "2 sequences", "AO", "SR50", "SR75", "AUC", "fps", "convention got10k"):
        assert word in table
    figures = json.loads(
        succeeds(
            "tracking/analysis_results.py", "--trackers", "sdtrack/demo", f"again={results[0].parent}", *options,
            "--convention", "ostrack", "--format", "json", "--compare", "sdtrack/demo", "again", "--plots", "prec",
        )
    )  # fmt: skip
    assert figures["convention"] == "ostrack"
    assert [row["tracker"] for row in figures["overall"]] == ["sdtrack/demo", "again"]
    assert figures["comparison"][0]["ties"] == 2
    assert all(row["difference"] == 0 for row in figures["differences"])
    assert (output / "plots" / "got10k_val" / "success.png").stat().st_size > 10_000


def test_results_become_figures_tables_and_a_report(workspace):
    """What people look at, from the folder of results that a run leaves."""
    output = workspace / "output"
    options = ("--dataset_name", "got10k_val", "--data_dir", workspace / "data", "--save_dir", output)
    succeeds("tracking/test.py", "sdtrack", "demo", *options, "--sequence", 0, "--debug", 1, "--overwrite")
    results = output / "results" / "sdtrack" / "demo" / "got10k_val"
    assert cv2.VideoCapture(str(results / "videos" / "GOT-10k_Val_000001.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 24
    (workspace / "other").mkdir()
    shutil.copy(results / "GOT-10k_Val_000001.txt", workspace / "other")
    trackers = ("--trackers", "sdtrack/demo", f"other={workspace / 'other'}")
    text = succeeds("tracking/report.py", *trackers, *options, "--frames", 5)
    assert "problem: other, GOT-10k_Val_000002: no result of this sequence" in text
    assert len(list((output / "report" / "got10k_val" / "frames" / "0").iterdir())) == 5
    fails("both have to be above 0", "tracking/report.py", *trackers, *options, "--frames", 0)
    succeeds(
        "tracking/vis_attention.py", "sdtrack", "demo", *options, "--sequence", "GOT-10k_Val_000001", "--frame", 3,
    )  # fmt: skip
    for kind in ("attention", "queries"):
        picture = output / "plots" / "got10k_val" / "sdtrack" / "demo" / f"{kind}_GOT-10k_Val_000001_000003_layer-1.png"
        assert picture.stat().st_size > 10_000
    (workspace / "eao.json").write_text('{"a": 0.5, "b": 0.4}')
    paper = ("tracking/plot_paper_figures.py", "--save_dir", output)
    succeeds(*paper, "--figures", 1, 6, "--eao", workspace / "eao.json", "--formats", "png", "tex")
    names = sorted(path.name for path in (output / "plots" / "paper").iterdir())
    assert names == ["figure1.png", "figure1.tex", "figure6.png", "figure6.tex"]
    fails("figure 5 needs results", *paper, "--figures", 5)
    table = succeeds("tracking/paper_tables.py", "--table", 2, "--format", "csv")
    assert "SDTrack,paper,57.1,71.5" in table
    fails(
        "no results of TNL2K, OTB100",
        "tracking/paper_tables.py",
        "--table",
        2,
        "--trackers",
        "sdtrack/demo",
        *options[2:],
    )


def test_video_in_boxes_and_video_out(workspace, tmp_path):
    arguments = ("sdtrack", "demo", workspace / "clip.mp4", "--save_dir", workspace / "output")
    succeeds(
        "tracking/video_demo.py", *arguments, "--optional_box", 20, 20, 20, 20, "--save_results", tmp_path / "out.mp4"
    )
    boxes = np.loadtxt(workspace / "output" / "results" / "sdtrack" / "demo" / "video" / "clip.txt")
    assert boxes.shape == (9, 4)
    assert boxes[0].tolist() == [20, 20, 20, 20]
    capture = cv2.VideoCapture(str(tmp_path / "out.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 9
    _, frame = capture.read()
    assert frame.shape == (64, 96, 3)
    for form, name in (("mot", "t.txt"), ("cvat", "t.xml")):
        text = succeeds("tracking/video_demo.py", *arguments, "--optional_box", 20, 20, 20, 20,
                        "--tracks", tmp_path / name, "--tracks_format", form, "--step", 4)  # fmt: skip
        assert f"tracks: {tmp_path / name}" in text
    lines = (tmp_path / "t.txt").read_text().splitlines()
    assert lines[0] == "1,1,21.00,21.00,20.00,20.00,1.0000,-1,-1,-1"
    assert [line.split(",")[0] for line in lines] == ["1", "5", "9"]
    tree = etree.parse(tmp_path / "t.xml")
    assert tree.findtext(".//name") == "clip.mp4" and tree.findtext(".//size") == "9"
    assert [box.get("frame") for box in tree.iter("box")] == ["0", "4", "8"]
    two = "--optional_box", 20, 20, 20, 20, "--optional_box", 50, 20, 9, 9
    text = succeeds("tracking/video_demo.py", *arguments, *two, "--tracks", tmp_path / "two.txt",
                    "--tracks_format", "csv")  # fmt: skip
    several = [workspace / "output" / "results" / "sdtrack" / "demo" / "video" / f"clip_{k}.txt" for k in (1, 2)]
    assert all(f"boxes: {file}" in text for file in several)
    np.testing.assert_allclose(np.loadtxt(several[0]), boxes, atol=0.1)
    assert np.loadtxt(several[1])[0].tolist() == [50, 20, 9, 9]
    assert (tmp_path / "two.txt").read_text().splitlines()[2].startswith("0,2,50.00,20.00,9.00,9.00,")
    for box, message in (
        ((1, 2, 3), "3 values; expected four"),
        ((1, 2, "x", 4), "expected four numbers"),
        ((1, 2, 0, 4), "no area"),
        ((500, 2, 10, 4), "outside the image of 96 x 64"),
    ):
        fails(message, "tracking/video_demo.py", *arguments, "--optional_box", *box)
    fails("need each other", "tracking/video_demo.py", *arguments, "--optional_box", 1, 2, 3, 4, "--tracks", "t.json")


def test_without_words_the_shipped_weights_track_a_video_of_their_own(tmp_path):
    text = succeeds("tracking/video_demo.py", "--save_dir", tmp_path)
    tracked = tmp_path / "demo" / "clip_tracked.mp4"
    assert str(tracked) in text and cv2.VideoCapture(str(tracked)).get(cv2.CAP_PROP_FRAME_COUNT) == 120
    boxes = np.loadtxt(tmp_path / "results" / "sdtrack" / "lite_224" / "video" / "clip.txt")
    annotation = SyntheticSequence(CLIP_SEED, 120, 360, 640).annotation
    overlaps, absent = iou(boxes, annotation.boxes), annotation.absent
    gone, back = np.flatnonzero(absent)[[0, -1]]
    assert 10 < gone < back < 60 and overlaps[: gone - 3].mean() > 0.7 and overlaps[back + 10 :].mean() > 0.7
    present = np.loadtxt(tmp_path / "results" / "sdtrack" / "lite_224" / "video" / "clip_present.txt")
    assert present[~absent].mean() > 0.85 and present[absent].mean() < 0.15
    named = succeeds("tracking/video_demo.py", tmp_path / "demo" / "clip.mp4", "--save_dir", tmp_path / "again",
                     "--optional_box", *boxes[0])  # fmt: skip
    assert "120 frames" in named
    fails("expected VIDEO, or tracker, config and VIDEO", "tracking/video_demo.py", "sdtrack", "demo")
    fails("no video is named", "tracking/video_demo.py", "--optional_box", *boxes[0], "clip.mp4")


def test_demo_with_shipped_weights(tmp_path):
    text = succeeds("tracking/demo.py", "--save_dir", tmp_path, "--num_sequences", 2)
    for word in ("AUC", "Output files", "weights/CARD.md"):
        assert word in text
    for name in ("clip.mp4", "clip_tracked.mp4", "success.png", "synthetic-001.mp4"):
        assert (tmp_path / "demo" / name).stat().st_size > 10_000
    shipped, static = (re.search(rf"^{label}\s+([\d.]+)", text, re.MULTILINE)[1] for label in (SHIPPED, STATIC))
    assert float(shipped) > 2 * float(static)


def test_training_demo_in_small(tmp_path):
    text = succeeds("tracking/demo.py", "--train", "--save_dir", tmp_path, "--num_sequences", 1, *SMALL_RUN)
    for word in ("SDTrack, trained", "SDTrack, untrained", STATIC, "AUC", "Output files"):
        assert word in text
    assert (tmp_path / "training_demo" / "success.png").stat().st_size > 10_000
    video = cv2.VideoCapture(str(tmp_path / "training_demo" / "synthetic-001.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 60
    again = succeeds("tracking/demo.py", "--train", "--save_dir", tmp_path, "--num_sequences", 1, *SMALL_RUN)
    assert "resumed from" in (tmp_path / "logs" / "sdtrack" / "demo" / "train.log").read_text()
    scores = [answer.split("3. Scores")[1].split("fps")[0].split() for answer in (text, again)]
    assert scores[0] == scores[1] != []


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("there is no config 'vitb300'", ["tracking/train.py", "--config", "vitb300"]),
        ("did you mean TRAIN.BATCH_SIZE", ["tracking/train.py", "--config", "demo", "--set", "TRAIN.BATCHSIZE=2"]),
        ("no tracker 'sdtrak'", ["tracking/train.py", "--script", "sdtrak", "--config", "demo"]),
        ("6 inputs of this config are missing or broken", ["tracking/train.py", "--config", "vitb_300"]),
        ("no tracker 'sdtrak'", ["tracking/test.py", "sdtrak", "demo", "--dataset_name", "synthetic"]),
        ("none of the 100 sequences of otb found", ["tracking/test.py", "sdtrack", "demo"]),
        ("no checkpoint. Train one", ["tracking/test.py", "sdtrack", "demo", "--dataset_name", "synthetic"]),
        ("no such folder", ["tracking/test.py", "static", "x", "--dataset_name", "folder:gone"]),
        ("there is no such video", ["tracking/video_demo.py", "sdtrack", "demo", "gone.mp4", "--optional_box", "1"]),
        ("no images in this folder", ["tracking/video_demo.py", "sdtrack", "demo", "EMPTY", "--optional_box", "1"]),
        ("with --optional_box", ["tracking/video_demo.py", "sdtrack", "demo", "CLIP"]),
        (
            "does not exist; run tracking/test.py first",
            ["tracking/analysis_results.py", "--trackers", "a/b", "--dataset_name", "synthetic"],
        ),
        (
            "20 of 20 sequences have no result (synthetic-001, ",
            ["tracking/analysis_results.py", "--trackers", "a=EMPTY", "--dataset_name", "synthetic"],
        ),
        (
            "names 'a' 2 times",
            ["tracking/analysis_results.py", "--trackers", "a=EMPTY", "a=EMPTY", "--dataset_name", "synthetic"],
        ),
        ("this machine has", ["tracking/test.py", "static", "x", "--dataset_name", "synthetic", "--num_gpus", "99"]),
        ("there is no submission for this", ["tracking/pack_submission.py", "a=EMPTY", "--dataset_name", "synthetic"]),
        ("and not both", ["tracking/pack_submission.py", "--dataset_name", "got10k_test"]),
        ("did you mean vitb_300", ["tracking/profile_model.py", "--config", "vitb_30"]),
        ("at least one round", ["tracking/profile_model.py", "--config", "demo", "--rounds", "0"]),
        ("not usable here", ["tracking/train.py", "--config", "demo", "--device", "tpu7"]),
        ("cannot be created", ["tracking/train.py", "--config", "demo", "--save_dir", "CLIP/below"]),
        ("cannot be opened as a video", ["tracking/video_demo.py", "sdtrack", "demo", "TEXT", "--optional_box", "1"]),
    ],
)
def test_bad_input_ends_with_one_clear_error(workspace, tmp_path, monkeypatch, capsys, message, arguments):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.mp4").write_text("no video")
    places = {"EMPTY": tmp_path / "empty", "CLIP": workspace / "clip.mp4", "TEXT": tmp_path / "text.mp4"}
    for name, place in places.items():
        arguments = [word.replace(name, str(place)) for word in arguments]
    monkeypatch.setenv("SDTRACK_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("SDTRACK_SAVE_DIR", str(tmp_path / "output"))
    monkeypatch.syspath_prepend(str(PROJECT / "tracking"))
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as ended:  # in this process: each of its own would import torch again
        runpy.run_path(str(PROJECT / arguments[0]), run_name="__main__")
    check_error(ended.value.code, capsys.readouterr().err, message)


def test_broken_frames_end_a_training_with_workers_in_one_error(tmp_path):
    succeeds("tracking/make_synthetic.py", "--to", tmp_path / "got10k", "--number", 1, "--length", 20)
    for frame in (tmp_path / "got10k" / "train").rglob("*.jpg"):
        frame.write_bytes(b"broken")
    fails(
        "not a JPEG, PNG or BMP image", "tracking/train.py", "--config", "demo", "--data_dir", tmp_path, "--save_dir",
        tmp_path, *SMALL_RUN, "DATA.TRAIN.DATASETS_NAME=[GOT10K_train_full]", "TRAIN.NUM_WORKER=1",
    )  # fmt: skip


def test_local_file_is_written_once_and_a_broken_one_shows_where(tmp_path):
    import shutil

    project = tmp_path / "project"
    for name in ("lib", "tracking", "experiments"):
        shutil.copytree(PROJECT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    script = project / "tracking" / "create_default_local_file.py"
    options = ["--workspace_dir", str(project), "--data_dir", "./here", "--save_dir", "./there"]
    run = [sys.executable, str(script), *options]
    assert subprocess.run(run, check=True, capture_output=True, text=True).stdout.startswith(str(project))
    assert yaml.safe_load((project / "local.yaml").read_text())["data_dir"] == str(project / "here")
    again = subprocess.run(run, check=False, capture_output=True, text=True)
    assert (again.returncode, "was not changed" in again.stderr) == (1, True)
    test = [sys.executable, str(project / "tracking" / "test.py"), "static", "x"]
    answer = subprocess.run(test, check=False, capture_output=True, text=True)
    assert f"{project / 'here' / 'otb'}: none of the 100" in answer.stderr
    (project / "local.yaml").write_text("data_dir: [")
    answer = subprocess.run(test, check=False, capture_output=True, text=True)
    assert (answer.returncode, "local.yaml: not readable as YAML" in answer.stderr) == (1, True)
    (project / "local.yaml").write_text("data: x")
    answer = subprocess.run(test, check=False, capture_output=True, text=True)
    assert "expected only the keys data_dir" in answer.stderr


@needs_real_data
def test_real_data_one_epoch_then_six_real_sequences(tmp_path):
    places = ("--data_dir", REAL_DATA, "--save_dir", tmp_path)
    succeeds(
        "tracking/train.py", "--script", "sdtrack", "--config", "demo", *places, *SMALL_RUN,
        "DATA.TRAIN.DATASETS_NAME=[GOT10K_train_full]", "DATA.VAL.DATASETS_NAME=[GOT10K_official_val]",
    )  # fmt: skip
    test = ("tracking/test.py", "sdtrack", "demo", "--dataset_name", "otb", *places)
    succeeds(*test)
    folder = tmp_path / "results" / "sdtrack" / "demo" / "otb"
    first = {path.name: path.read_text() for path in folder.glob("*.txt")}
    lengths = {"Bolt": 350, "Couple": 140, "Crossing": 120, "David": 471, "Football1": 74, "Skiing": 81}
    assert {name: len(first[f"{name}.txt"].splitlines()) for name in lengths} == lengths
    assert first["David.txt"].splitlines()[0] == "129.00\t80.00\t64.00\t78.00"
    succeeds(*test, "--overwrite", "--sequence", "Football1")
    assert (folder / "Football1.txt").read_text() == first["Football1.txt"]
    table = succeeds(
        "tracking/analysis_results.py", "--trackers", "sdtrack/demo", *places, "--show", "sequences", "attributes"
    )
    assert "Illumination Variation" in table
    assert all(f"\n{name} " in table for name in lengths)


@needs_real_data
def test_the_papers_mix_of_real_data_trains(tmp_path):
    succeeds(
        "tracking/train.py", "--config", "demo", "--data_dir", REAL_DATA, "--save_dir", tmp_path, *SMALL_RUN,
        "DATA.TRAIN.DATASETS_NAME=[LASOT,GOT10K_train_full,COCO17,TRACKINGNET]", "DATA.TRAIN.DATASETS_RATIO=[1,1,1,1]",
        "DATA.TRAIN.SAMPLE_PER_EPOCH=32",
    )  # fmt: skip
    assert "[train 1]" in (tmp_path / "logs" / "sdtrack" / "demo" / "train.log").read_text()


@needs_real_data
def test_real_annotations_read_whole():
    from lib.test.evaluation.got10kdataset import got10k_sequences
    from lib.train.dataset.lasot import Lasot
    from lib.train.dataset.storage import FileStorage
    from lib.utils.annotations import read_boxes

    assert len(read_boxes(REAL_DATA / "odd" / "truck4_1_no_final_newline.txt")) == 193
    lasot = Lasot(FileStorage(REAL_DATA / "lasot"))
    hidden = {lasot.sequences[i]: int((~lasot.sequence_info(i).visible).sum()) for i in range(len(lasot))}
    assert hidden["person-2"] == 23
    assert [len(item) for item in got10k_sequences(REAL_DATA / "got10k", "val")] == [99, 43]


def test_the_papers_config_steps_on_a_cpu_without_data_or_weights(tmp_path):
    succeeds(
        "tracking/train.py", "--script", "sdtrack", "--config", "vitb_300", "--save_dir", tmp_path, "--set",
        "MODEL.PRETRAIN_FILE=none", "DATA.TRAIN.DATASETS_NAME=[SYNTHETIC]", "DATA.TRAIN.DATASETS_RATIO=[1]",
        "DATA.VAL.DATASETS_NAME=[]", "DATA.VAL.DATASETS_RATIO=[]", "DATA.TRAIN.SAMPLE_PER_EPOCH=2",
        "TRAIN.BATCH_SIZE=1", "TRAIN.EPOCH=1", "TRAIN.NUM_WORKER=0",
    )  # fmt: skip
    text = (tmp_path / "logs" / "sdtrack" / "vitb_300" / "train.log").read_text()
    assert "110.58 M parameters" in text
    assert "[train 1] Loss/total" in text

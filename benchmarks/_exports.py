"""Rows of inference.py for what tracking/export.py writes: the runtime package, the page, graphs with integers."""

from _common import PROJECT, interleaved

from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
import subprocess
import sys
import threading
import time
import venv

import numpy as np
import torch

from lib.deploy.onnx_graphs import example, load_onnxruntime, load_openvino, write_search
from lib.deploy.runtime import PACKAGE, write_package
from lib.deploy.web import write_page
from lib.registry import make_tracker
from lib.runtime.tracker import ENGINES, Tracker

CONFIG = "lite_224"
FIRST_BOX = """
import numpy
from sdtrack_runtime import Tracker
frame, tracker = numpy.zeros((720, 1280, 3), numpy.uint8), Tracker()
tracker.init(frame, [600, 300, 80, 90])
tracker.update(frame)
"""
IN_PAGE = """
    const [count, done] = arguments, image = new ImageData(1280, 720);
    const pixels = new Uint8Array(image.data.buffer);
    for (let i = 0; i < pixels.length; i++) pixels[i] = (i * 2654435761) >>> 24;
    const tracker = sdtrack.tracker;
    (async () => {
        await tracker.init(image, [600, 300, 80, 90]);
        const times = [];
        for (let i = 0; i < count; i++) {
            tracker.box = [600, 300, 80, 90];
            tracker.recovery = null;
            const start = performance.now();
            await tracker.update(image);
            times.push(performance.now() - start);
        }
        done(times);
    })();
"""


def runtime_rows(folder: Path, box: list[float], rounds: int) -> dict[str, float]:
    """Seconds to install the package and to its first box, and a 720p frame beside the session with the same engine."""
    folder.mkdir()
    still = ["TEST.RECOVERY.LOOKS=0"]
    session = partial(make_tracker, "sdtrack", CONFIG, device="cpu", overrides=still)
    write_package(session(backend="torch"), f"sdtrack/{CONFIG}", "both", folder)
    figures = _installation(folder)
    frame = np.random.default_rng(0).integers(0, 256, (720, 1280, 3), np.uint8)
    for engine in ENGINES:
        tracker, other = Tracker(engine, torch.get_num_threads(), folder / PACKAGE), session(backend=engine)
        tracker.init(frame, box)
        other.initialize(frame, {"init_bbox": box})

        def update(tracker, call: Callable, target, _round: int) -> None:
            target.box = list(box)
            call(frame)

        jobs = {
            "runtime": partial(update, tracker, tracker.update, tracker.target),
            "session": partial(update, other, other.track, other.target),
        }
        times = interleaved(jobs, rounds)
        figures[f"{CONFIG}.runtime.{engine}.ms"] = 1000 * times["runtime"].median
        figures[f"{CONFIG}.runtime.{engine}.ratio_vs_session"] = times["runtime"].median / times["session"].median
    return figures


def _installation(folder: Path) -> dict[str, float]:
    python = folder / "environment" / "bin" / "python"
    venv.create(folder / "environment", with_pip=True)
    figures = {}
    for name, command in {
        "install_s": ["-m", "pip", "install", "--quiet", str(folder), "openvino"],
        "first_box_s": ["-c", FIRST_BOX],
    }.items():
        started = time.perf_counter()
        subprocess.run([python, *command], check=True, stderr=subprocess.DEVNULL, cwd=folder / "environment")
        figures[f"{CONFIG}.runtime.{name}"] = time.perf_counter() - started
    return figures


def web_rows(folder: Path, rounds: int) -> dict[str, float]:
    """Milliseconds of a 720p frame in headless Chromium, crop and choice included, with one thread."""
    sys.path.append(str(PROJECT / "tests"))
    from browser import open_browser
    from selenium.webdriver.support.ui import WebDriverWait

    page = folder / "page"
    page.mkdir(parents=True)
    write_page(make_tracker("sdtrack", CONFIG, device="cpu", backend="torch"), f"sdtrack/{CONFIG}", None, page)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=page))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    driver = open_browser(folder / "profile")
    try:
        driver.set_script_timeout(600)
        driver.get(f"http://127.0.0.1:{server.server_port}/")
        WebDriverWait(driver, 120).until(lambda one: "Choose a video" in one.find_element("id", "status").text)
        milliseconds = float(np.median(driver.execute_async_script(IN_PAGE, rounds + 1)[1:]))
    finally:
        driver.quit()
        server.shutdown()
    return {f"{CONFIG}.web.ms": milliseconds, f"{CONFIG}.web.fps": 1000 / milliseconds}


def int8_rows(exported: Path, folder: Path, rounds: int) -> dict[str, float]:
    """Milliseconds of the graph in a folder of export.py --format onnx-int8-static or openvino-int8, and over those of
    the float graph with the same engine."""
    graph = next(path for path in (exported / "search.xml", exported / "search.onnx") if path.is_file())
    engine, load = ("openvino", load_openvino) if graph.suffix == ".xml" else ("onnxruntime", load_onnxruntime)
    tracker = make_tracker("sdtrack", CONFIG, device="cpu", backend="torch")
    sizes = tracker.params.template_size, tracker.params.search_size
    exact = folder / "search.onnx"
    write_search(tracker.network, sizes, exact)
    template, box, search = example(sizes)
    with torch.no_grad():
        inputs = tracker.network.encode_template(template, box).numpy(), search.numpy()
    runs = {"int8": load(graph), "float": load(exact)}
    jobs = {name: partial(lambda run, _round: run(*inputs), run) for name, run in runs.items()}
    times = interleaved(jobs, rounds)
    return {
        f"{CONFIG}.{engine}-int8.ms": 1000 * times["int8"].median,
        f"{CONFIG}.{engine}-int8.ratio_vs_float": times["int8"].median / times["float"].median,
    }

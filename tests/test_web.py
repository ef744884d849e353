"""The page that tracks in the browser: what its folder is made of, and the page in a real browser."""

import base64
import functools
import shutil
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import av
import cv2
import numpy as np
import pytest
from browser import INSTALLED, open_browser
from selenium.webdriver.support.ui import WebDriverWait

from lib.deploy import web
from lib.deploy.web import write_page
from lib.errors import ConfigError, DataError
from lib.registry import make_tracker
from lib.runtime.tracker import Tracker
from lib.synthetic import SyntheticSequence
from lib.utils.overlap import iou

SCENE = SyntheticSequence(7, 24)
RATE = 10  # frames per second
PIXELS = 0.1  # largest difference of a box from Python's


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The page with the shipped weights; its URL on a static server, and its folder."""
    folder = tmp_path_factory.mktemp("page")
    tracker = make_tracker("sdtrack", "lite_224", device="cpu", backend="torch")
    try:
        write_page(tracker, "sdtrack/lite_224", None, folder)
    except ConfigError as error:
        if "npm" not in str(error):
            raise
        pytest.skip(f"THE PAGE WAS NOT TRIED: {error}")
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()
    server.server_close()


@pytest.fixture
def browser(tmp_path):
    driver = open_browser(tmp_path / "profile")
    yield driver
    messages = driver.get_log("browser")
    driver.quit()
    assert not messages, messages


@pytest.fixture
def clip(tmp_path):
    """The scene as an H.264 file."""
    path = tmp_path / "clip.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        height, width = SCENE.frame(0).shape[:2]
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for time in range(len(SCENE.annotation.boxes)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(SCENE.frame(time), format="rgb24")))
        container.mux(stream.encode())
    return path


def fill_in(browser, box):
    for name, value in zip("xywh", box):
        field = browser.find_element("id", name)
        field.clear()
        field.send_keys(str(value))


def wait_for(browser, text):
    WebDriverWait(browser, 90).until(lambda driver: text in driver.find_element("id", "status").text)


needs_browser = pytest.mark.skipif(
    not INSTALLED, reason="CHROMIUM NOT FOUND: the page was not opened in a browser (Debian: chromium-driver)"
)


@needs_browser
def test_a_video_is_tracked_with_the_boxes_of_python(page, browser, clip, tmp_path):
    url, folder = page
    browser.get(f"{url}/index.html?keep")
    wait_for(browser, "Choose a video or the camera.")
    assert not browser.find_element("id", "track").is_enabled()
    browser.find_element("id", "file").send_keys(str(clip))
    wait_for(browser, "Draw a box")
    fill_in(browser, [0, 0, 0, 5])
    browser.find_element("id", "track").click()
    assert not browser.execute_script("return document.getElementById('start').checkValidity()"), "it asks for a width"
    assert "Draw a box" in browser.find_element("id", "status").text
    fill_in(browser, [9000, 0, 5, 5])
    browser.find_element("id", "track").click()
    wait_for(browser, "lies outside the picture")
    first = round(RATE * browser.execute_script("return sdtrack.shown.time"))
    box = SCENE.annotation.boxes[first].tolist()
    fill_in(browser, box)
    browser.find_element("id", "track").click()
    wait_for(browser, "The video has ended")
    browser.save_screenshot(str(tmp_path / "page.png"))
    rows = browser.execute_script("return sdtrack.kept")
    assert len(SCENE.annotation.boxes) / 2 <= len(rows) <= len(SCENE.annotation.boxes), "a busy machine skips some"
    assert np.all(np.diff([row["time"] for row in rows]) > 0)
    tracker = Tracker("onnxruntime", threads=1, folder=folder)
    pictures = [base64.b64decode(row["pixels"].partition(",")[2]) for row in rows]
    frames = [cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR) for picture in pictures]
    tracker.init(frames[0], box)
    for frame, row in zip(frames[1:], rows[1:]):
        box, score, present = tracker.update(frame)
        np.testing.assert_allclose(row["box"], box, atol=PIXELS)
        assert row["score"] == pytest.approx(score, abs=0.02) and row["present"] is present
    times = np.round(RATE * np.array([row["time"] for row in rows])).astype(int)
    overlaps = iou(np.array([row["box"] for row in rows]), SCENE.annotation.boxes[np.minimum(times, 23)])
    assert overlaps.mean() > 0.75, "it follows the target"
    assert browser.find_element("id", "box").text.count(",") == 3
    assert browser.find_element("id", "download").is_enabled()


@needs_browser
def test_another_video_ends_the_tracking_of_the_first(page, browser, clip):
    url, _ = page
    browser.get(f"{url}/")
    wait_for(browser, "Choose a video or the camera.")
    for _ in range(2):
        browser.find_element("id", "file").send_keys(str(clip))
        wait_for(browser, "Draw a box")
        fill_in(browser, SCENE.annotation.boxes[0])
        browser.find_element("id", "track").click()
        wait_for(browser, "Tracking.")
    wait_for(browser, "The video has ended")
    assert not browser.find_element("id", "track").is_enabled(), "there is nothing left to track"
    rows = browser.execute_script("return sdtrack.rows.map(row => row.time)")
    assert len(rows) <= len(SCENE.annotation.boxes) and np.all(np.diff(rows) > 0), "no frame of the first one"


@needs_browser
def test_a_box_is_drawn_with_the_pointer_and_a_file_that_is_no_video_is_named(page, browser, clip, tmp_path):
    url, _ = page
    browser.get(f"{url}/")
    wait_for(browser, "Choose a video or the camera.")
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"nothing")
    browser.find_element("id", "file").send_keys(str(broken))
    wait_for(browser, "cannot decode the video")
    browser.find_element("id", "file").send_keys(str(clip))
    wait_for(browser, "Draw a box")
    draw = """
        const view = document.getElementById("view"), at = view.getBoundingClientRect();
        for (const [name, x, y] of [["pointerdown", 20, 30], ["pointermove", 60, 80], ["pointerup", 60, 80]])
            view.dispatchEvent(new PointerEvent(name, {clientX: at.left + x, clientY: at.top + y, pointerId: 1}));
        return [view.width / view.clientWidth];
    """
    browser.execute_script("Element.prototype.setPointerCapture = () => {}")
    [scale] = browser.execute_script(draw)
    drawn = [float(browser.find_element("id", name).get_attribute("value")) for name in "xywh"]
    np.testing.assert_allclose(drawn, scale * np.array([20, 30, 40, 50]), atol=2)
    names = browser.execute_script(
        "return [...document.querySelectorAll('input,button')].map(e => (e.labels?.[0] ?? e).textContent.trim())"
    )
    assert all(names), "every control has a name that is read out"


def test_the_folder_holds_the_page_and_the_pinned_library(page):
    _, folder = page
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    library = {"ort.wasm.min.js", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm", "VERSION"}
    assert names == {
        "LICENSE", "about.json", "crop.js", "index.html", "page.js", "recovery.js", "search.onnx", "source.js",
        "style.css", "template.onnx", "tracker.js", *(f"ort/{name}" for name in library),
    }  # fmt: skip
    assert web.INTEGRITY in (folder / "ort" / "VERSION").read_text()
    for path in folder.glob("*.*"):
        if path.suffix in (".html", ".js", ".css"):
            assert "http://" not in path.read_text() and "https://" not in path.read_text(), "it works offline"


def test_a_missing_client_and_a_wrong_archive_are_named(tmp_path, monkeypatch, tiny_checkpoint):
    tracker = make_tracker("sdtrack", "demo", checkpoint=tiny_checkpoint, device="cpu", backend="torch")
    archive = tmp_path / "onnxruntime-web-1.30.0.tgz"
    archive.write_bytes(b"something else")
    with pytest.raises(DataError, match=r"not npm's archive of onnxruntime-web 1\.30\.0"):
        write_page(tracker, "sdtrack/demo", archive, tmp_path)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ConfigError, match=r"npm pack onnxruntime-web@1\.30\.0.*--onnxruntime_web FILE"):
        write_page(tracker, "sdtrack/demo", None, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]

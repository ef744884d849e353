"""Export of a tracker as a page for the browser: static files, with ONNX Runtime's WebAssembly beside them."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from lib.deploy.runtime import check_portable, expected_answers, write_graphs_and_settings
from lib.errors import ConfigError, DataError, TrackingError
from lib.runtime.scene import FIRST_BOX, moving_square
from lib.runtime.tracker import Tracker
from lib.test.tracker.session import NetworkTracker
from lib.utils.files import read_bytes
from lib.utils.local_paths import PROJECT

PAGE = PROJECT / "lib" / "web"
LIBRARY, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="  # npm's
TAKEN = ("dist/ort.wasm.min.js", "dist/ort-wasm-simd-threaded.mjs", "dist/ort-wasm-simd-threaded.wasm")
PIXELS = 0.1  # largest difference of a box from PyTorch's


def write_page(tracker: NetworkTracker, name: str, archive: Path | None, folder: Path) -> str:
    """Write the page into a folder, which must exist. Returns how it compares with PyTorch, in words.

    tracker: with backend torch; name: script/config; archive: npm's archive of onnxruntime-web, None: fetched by npm.
    Raises TrackingError if the session is not the page's, or the graphs' boxes are not PyTorch's; ConfigError if a
    package is missing or the archive cannot be fetched; DataError for an archive of another version.
    """
    check_portable(tracker, name)
    with tempfile.TemporaryDirectory() as place:
        _unpack(archive or _fetch(Path(place)), folder / "ort")
    write_graphs_and_settings(tracker, name, ("onnxruntime",), folder)
    for path in sorted(PAGE.glob("*.*")):
        shutil.copy(path, folder / path.name)
    shutil.copy(PROJECT / "LICENSE", folder / "LICENSE")
    expected = expected_answers(tracker)
    first, *others = moving_square(len(expected["boxes"]) + 1)
    runtime = Tracker("onnxruntime", threads=1, folder=folder)
    runtime.init(first, FIRST_BOX)
    pixels = float(np.abs(np.array([runtime.update(frame).box for frame in others]) - expected["boxes"]).max())
    if not pixels <= PIXELS:
        raise TrackingError(f"the graphs' boxes differ from PyTorch's by {pixels:.3g} px (nothing was written)")
    return f"the graphs' boxes differ from PyTorch's by at most {pixels:.1g} px"


def _fetch(folder: Path) -> Path:
    """Fetch npm's archive of the library with the npm client."""
    remedy = (
        f"get {LIBRARY}-{VERSION}.tgz where there is a network (npm pack {LIBRARY}@{VERSION}) and name it with "
        "--onnxruntime_web FILE"
    )
    if not shutil.which("npm"):
        raise ConfigError(
            f"--format web: there is no npm here to fetch {LIBRARY} {VERSION} with; install it, or {remedy}"
        )
    command = ["npm", "pack", f"{LIBRARY}@{VERSION}", "--silent", "--pack-destination", str(folder)]
    run = subprocess.run(command, capture_output=True, text=True)
    archive = folder / f"{LIBRARY}-{VERSION}.tgz"
    if run.returncode or not archive.is_file():
        reason = (run.stderr or run.stdout).strip().splitlines()[-1:] or ["no message"]
        raise ConfigError(f"--format web: npm could not fetch {LIBRARY} {VERSION} ({reason[0]}); {remedy}")
    return archive


def _unpack(archive: Path, folder: Path) -> None:
    """Check an archive against the pinned hash and write the files that the page needs into a folder."""
    found = "sha512-" + base64.b64encode(hashlib.sha512(read_bytes(archive)).digest()).decode()
    if found != INTEGRITY:
        raise DataError(f"{archive}: not npm's archive of {LIBRARY} {VERSION} (its hash is {found}, not {INTEGRITY})")
    folder.mkdir()
    with tarfile.open(archive) as members:
        for name in TAKEN:
            member = members.extractfile(f"package/{name}")
            if member is None:
                raise DataError(f"{archive}: it lacks {name}")
            (folder / Path(name).name).write_bytes(member.read())
    (folder / "VERSION").write_text(f"{LIBRARY} {VERSION}, MIT licence, {INTEGRITY}\n", encoding="utf-8")

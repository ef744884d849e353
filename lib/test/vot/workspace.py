"""Workspaces of the VOT toolkit: config.yaml, trackers.ini, sequences, and a check that a tracker answers."""

import configparser
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from lib.errors import DataError, TrackingError
from lib.test.vot.masks import parse_region
from lib.test.vot.settings import VARIABLE, VotSettings
from lib.utils.annotations import read_names, read_text
from lib.utils.extras import require
from lib.utils.files import make_folder, read_bytes, write_atomically
from lib.utils.frame_files import numbered_files
from lib.utils.image import read_image
from lib.utils.local_paths import PROJECT
from lib.utils.parsing import parse_yaml

SHORT = "short"  # custom stack: VOT2020's baseline with an interval fitted to the available sequences
SPACING = 50  # frames between anchors, as in VOT2020
TIMEOUT = 300  # seconds that the toolkit waits for an answer; the first includes building the networks


def write_workspace(folder: Path, name: str, stack: str, settings: VotSettings, sequences: Path | None) -> Path:
    """Create or update a workspace and add the tracker `name`. Returns the path of the tracker's settings file.

    stack: one of the toolkit's stacks, such as vot2020/shortterm, or SHORT; sequences: a folder in VOT's layout whose
    sequences are linked into the workspace, None: use those already there. Other trackers of the workspace are kept.
    Raises TrackingError for an invalid name, an unreadable config.yaml or trackers.ini, or a stack that differs from
    the existing one, and DataError for missing or broken sequences.
    """
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
        raise TrackingError(f"--name {name}: use letters, digits, _ and - only, starting with a letter or _")
    folder = make_folder(folder).absolute()
    if sequences is not None:
        link_sequences(sequences, make_folder(folder / "sequences"))
    if not (folder / "sequences" / "list.txt").is_file():
        raise DataError(f"{folder / 'sequences'}: list.txt is missing; name VOT2020's sequences with --sequences DIR")
    _write_config(folder, stack)
    file = folder / f"{name}.json"
    settings.write(file)
    _add_tracker(folder / "trackers.ini", name, settings, file)
    return file


def _write_config(folder: Path, stack: str) -> None:
    file, wanted = folder / "config.yaml", "./stack.yaml" if stack == SHORT else stack
    content = {}
    if file.is_file():
        try:
            content = parse_yaml(read_bytes(file)) or {}
            if not isinstance(content, dict):
                raise ValueError(f"a {type(content).__name__}; expected keys and values")
        except ValueError as error:
            raise TrackingError(f"{file}: not readable as YAML ({error}); fix or remove it") from error
    there = content.get("stack")
    if there not in (None, wanted):
        raise TrackingError(f"{file} has the stack {there}, not {wanted}; keep it, or choose another --workspace")
    if stack == SHORT:
        text = yaml.safe_dump(short_stack(folder / "sequences"), sort_keys=False)
        write_atomically(folder / "stack.yaml", lambda path: path.write_text(text, encoding="utf-8"))
    text = yaml.safe_dump({"stack": wanted, "registry": ["./trackers.ini"], "sequences": "./sequences"})
    write_atomically(file, lambda path: path.write_text(text, encoding="utf-8"))


def _add_tracker(file: Path, name: str, settings: VotSettings, settings_file: Path) -> None:
    trackers = configparser.ConfigParser(interpolation=None)
    trackers.optionxform = str
    try:
        trackers.read(file, encoding="utf-8-sig")
    except (configparser.Error, UnicodeDecodeError) as error:
        raise TrackingError(f"{file}: not readable ({error}); remove it and create its trackers again") from error
    entry = {
        "label": name,
        "protocol": "traxpython",
        "command": "lib.test.vot.serve",
        "paths": str(PROJECT),
        "python": sys.executable,
        "timeout": str(TIMEOUT),
        f"env_{VARIABLE}": str(settings_file),
    }
    trackers[name] = {key: value.replace("%", "%%") for key, value in entry.items()}  # the toolkit interpolates

    def write(path: Path) -> None:
        with path.open("w", encoding="utf-8") as stream:
            trackers.write(stream)

    write_atomically(file, write)


def link_sequences(source: Path, target: Path) -> None:
    """Add the sequences of folder `source` in VOT's layout (list.txt, <name>/color, groundtruth.txt) to `target`.

    Frames are linked, annotations copied, and the toolkit's metadata file `sequence` is written. If a sequence has no
    anchor.value, it is generated. Raises DataError for missing or broken files, or if regions and frames differ in
    number.
    """
    names = read_names(source / "list.txt")
    for name in names:
        given, own = source / name, make_folder(target / name)
        frames = numbered_files(given / "color", 1)
        lines = read_text(given / "groundtruth.txt").splitlines()
        if len(lines) != len(frames):
            raise DataError(f"{given}: {len(lines)} regions for {len(frames)} frames")
        link = own / "color"
        if not link.is_symlink() and not link.exists():
            link.symlink_to((given / "color").absolute(), target_is_directory=True)
        shutil.copyfile(given / "groundtruth.txt", own / "groundtruth.txt")
        height, width = read_image(frames[0]).shape[:2]
        about = f"channels.color=color/%08d{frames[0].suffix}\nformat=default\nfps=24\nname={name}\n"
        about += f"width={width}\nheight={height}\nlength={len(frames)}\n"
        (own / "sequence").write_text(about, encoding="utf-8")
        if (given / "anchor.value").is_file():
            shutil.copyfile(given / "anchor.value", own / "anchor.value")
        else:
            visible = [parse_region(line, f"{given}, frame {n}")[0][2] > 0 for n, line in enumerate(lines, start=1)]
            values = "".join(f"{value}\n" for value in anchors(visible))
            (own / "anchor.value").write_text(values, encoding="utf-8")
    write_atomically(target / "list.txt", lambda path: path.write_text("\n".join(names) + "\n", encoding="utf-8"))


def anchors(visible: list[bool]) -> list[int]:
    """Anchor values, one per frame: 1 starts a forward run, -1 a backward run, 0 none.

    Anchors lie SPACING frames apart, or a quarter of the sequence if that is less; each moves on to the next frame in
    which the target is visible. A run goes in the direction that has more frames.
    """
    length = len(visible)
    values = [0] * length
    for start in range(0, length, min(SPACING, max(1, length // 4))):
        frame = next((index for index in range(start, length) if visible[index]), None)
        if frame is not None and not values[frame]:
            values[frame] = 1 if frame < length / 2 else -1
    return values


def short_stack(sequences: Path) -> dict:
    """Stack file of VOT2020's baseline for short sequences, as a dictionary.

    On sequences shorter than VOT2020's interval even a perfect tracker would score close to zero. The interval here
    runs from a quarter to three quarters of the shortest sequence's length.
    """
    names = read_names(sequences / "list.txt")
    shortest = min(len(numbered_files(sequences / name / "color", 1)) for name in names)
    low, high = max(1, shortest // 4), max(2, 3 * shortest // 4)
    analyses = [
        {"type": "multistart_eao_score", "name": "eaoscore", "low": low, "high": high},
        {"type": "multistart_eao_curve", "name": "eaocurve", "high": high},
        {"type": "multistart_average_ar", "name": "ar"},
    ]
    return {
        "title": f"VOT2020's baseline on short sequences, EAO over {low} to {high} frames",
        "experiments": {"baseline": {"type": "multistart", "analyses": analyses}},
    }


def check_tracker(folder: Path, name: str, log: Path, after_frame: Callable[[], object] = lambda: None) -> int:
    """Run the tracker once through the toolkit on a generated dummy sequence. Returns the number of frames.

    log: the tracker's log file; after_frame: called after each tracked frame. Raises TrackingError with the reason and
    the path of the log if the tracker does not answer.
    """
    require("vot", "vot", "the check of the tracker")
    from vot.dataset.dummy import generate_dummy
    from vot.tracker import ObjectStatus, Registry, TrackerException

    length = 6
    runtime = None
    try:
        runtime = Registry([str(folder / "trackers.ini")])[name].runtime()
        sequence = generate_dummy(length)
        first = sequence.frame(0)
        runtime.initialize(first, [ObjectStatus(first.groundtruth(), {})])
        for index in range(1, length):
            runtime.update(sequence.frame(index))
            after_frame()
    except TrackerException as error:
        reason = log.read_text(encoding="utf-8").strip().splitlines()[-1] if log.is_file() else str(error)
        raise TrackingError(f"{name} does not answer the toolkit: {reason}; see {log}") from error
    finally:
        if runtime is not None:
            runtime.stop()
    return length

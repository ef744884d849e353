"""SDTrack as a plugin of an OSTrack-style host: the files it consists of, their export and their removal.

The modules in HOST are expected in the host. All other modules that SDTrack's parts import, directly or indirectly, are
exported with them.
"""

import ast
import hashlib
import json
import sys
from pathlib import Path, PurePosixPath

from lib.errors import SDTrackError
from lib.modernise import modernised
from lib.utils.files import make_folder, read_bytes, write_atomically
from lib.utils.local_paths import PROJECT
from lib.utils.modules import imported_modules, imports, imports_among, module_file
from lib.utils.parsing import parse_json

ROOTS = (
    "lib.config.sdtrack.config",
    "lib.config.host",
    "lib.models.sdtrack",
    "lib.train.actors.sdtrack",
    "lib.test.parameter.sdtrack",
    "lib.test.tracker.sdtrack",
)
HOST = (
    "lib.utils.box_ops",
    "lib.train.actors.base_actor",
    "lib.test.tracker.basetracker",
    "lib.test.utils",
    "lib.test.evaluation.environment",
)
OTHERS = ("experiments/sdtrack/*.yaml", "weights/*.safetensors")
CONFIG = PurePosixPath("lib/config/sdtrack/config.py")
HOST_CONFIG = b"""

# The names that an OSTrack host imports from a config; written by SDTrack's tracking/export_plugin.py
from lib.config.host import host_config  # noqa: E402

cfg, update_config_from_file = host_config("sdtrack", DEFAULTS)
"""
MANIFEST = "sdtrack_plugin.json"  # in the host's root: lists the files written there
TRAIN_SCRIPT = "lib/train/train_script.py"

NETWORK_LINES = """\
    elif settings.script_name == "sdtrack":
        from lib.models.sdtrack import build_sdtrack
        net = build_sdtrack(cfg)
"""
ACTOR_LINES = """\
    elif settings.script_name == "sdtrack":
        from lib.train.actors.sdtrack import SDTrackActor
        actor = SDTrackActor(net=net, objective=None, loss_weight=None, settings=settings, cfg=cfg)
"""


def plugin_modules() -> dict[str, Path]:
    """The modules to export: name -> file in this project."""
    return imported_modules(PROJECT, ROOTS, without=HOST)


def plugin_files() -> dict[PurePosixPath, bytes]:
    """The files to write: path below the host's root -> contents. Raises DataError if one cannot be read."""
    paths = [*plugin_modules().values(), *(path for pattern in OTHERS for path in sorted(PROJECT.glob(pattern)))]
    files = {PurePosixPath(path.relative_to(PROJECT).as_posix()): read_bytes(path) for path in paths}
    files[CONFIG] += HOST_CONFIG
    files[PurePosixPath("lib/models/sdtrack/LICENSE")] = read_bytes(PROJECT / "LICENSE")
    return files


def requirements() -> list[str]:
    """Names of the packages that the plugin requires: those imported at the top level of its modules."""
    trees = [ast.parse(read_bytes(path)).body for path in plugin_modules().values()]
    names = {names[0].partition(".")[0] for tree in trees for names in imports_among(tree)}
    return sorted(names - sys.stdlib_module_names - {"lib"})


def export_plugin(host: Path, modernise: bool = False) -> list[PurePosixPath]:
    """Copy the plugin into an OSTrack-style checkout. Returns the paths of the files written, below the host's root.

    modernise: also change the host's outdated lines (lib.modernise); remove_plugin restores them. Raises SDTrackError,
    before anything is written, if the folder is not such a checkout or if a file would be overwritten.
    """
    check_host(host)
    files = plugin_files()
    changes = modernised(host) if modernise else {}
    for package in sorted({parent for path in files for parent in path.parents if parent.parts[:1] == ("lib",)}):
        if not (host / package / "__init__.py").exists():
            files.setdefault(package / "__init__.py", b"")
    there = [str(path) for path in [*files, PurePosixPath(MANIFEST)] if (host / path).exists()]
    if there:
        exported = " (the plugin was exported there already: --remove deletes it)" if MANIFEST in there else ""
        raise SDTrackError(
            f"{host}: nothing was written, since {len(there)} files of the plugin exist there{exported}: "
            f"{', '.join(there[:5])}{' ...' if len(there) > 5 else ''}"
        )
    sums = {str(path): hashlib.sha256(content).hexdigest() for path, content in files.items()}
    folders = {str(parent) for path in files for parent in path.parents if not (host / parent).exists()}
    changed = {str(path): {"before": old, "after": new} for path, (old, new) in changes.items()}
    manifest = json.dumps({"files": sums, "folders": sorted(folders), "changed": changed}, indent=1)
    write_atomically(host / MANIFEST, lambda file: file.write_text(manifest, encoding="utf-8"))
    for path, content in files.items():
        make_folder((host / path).parent)
        write_atomically(host / path, lambda file, content=content: file.write_bytes(content))
    for path, (_, new) in changes.items():
        _write_text(host / path, new)
    return sorted(files)


def _write_text(path: Path, text: str) -> None:
    data = text.encode(errors="surrogateescape")
    write_atomically(path, lambda file: file.write_bytes(data))


def remove_plugin(host: Path) -> int:
    """Remove the files that export_plugin wrote, and restore those it changed. Returns the number of files removed.

    Raises SDTrackError, before anything is removed, if there is no valid manifest or if one of the files was changed
    after the export.
    """
    if not (host / MANIFEST).is_file():
        raise SDTrackError(f"{host}: no plugin was exported there ({MANIFEST} is missing)")
    try:
        manifest = parse_json(read_bytes(host / MANIFEST))
        files, folders = dict(manifest["files"]), list(manifest["folders"])
        restored = {host / path: (item["before"], item["after"]) for path, item in manifest.get("changed", {}).items()}
    except (ValueError, KeyError, TypeError) as error:
        raise SDTrackError(
            f"{host / MANIFEST}: not a manifest of export_plugin ({error!r}); restore the file"
        ) from error
    present = {host / path: digest for path, digest in files.items() if (host / path).is_file()}
    changed = [path for path, digest in present.items() if hashlib.sha256(read_bytes(path)).hexdigest() != digest]
    for path, texts in restored.items():
        if path.is_file() and read_bytes(path) not in [text.encode(errors="surrogateescape") for text in texts]:
            raise SDTrackError(
                f"{path}: nothing was removed, since this file of the host was changed after --modernise; undo your "
                "changes, or restore the original file (git checkout), and run the command again"
            )
    if changed:
        raise SDTrackError(
            f"nothing was removed, since {len(changed)} files were changed after the export: "
            f"{', '.join(map(str, changed[:5]))}. Move your changes elsewhere, delete these files, and run the command "
            "again"
        )
    for path, (before, _) in restored.items():
        _write_text(path, before)
    for path in present:
        path.unlink()
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()
    for folder in sorted(map(host.joinpath, folders), reverse=True):
        for empty in (folder / "__pycache__", folder):
            if empty.is_dir() and not any(empty.iterdir()):
                empty.rmdir()
    (host / MANIFEST).unlink()
    return len(present)


def check_host(host: Path) -> None:
    """Raise SDTrackError unless the folder has the modules in HOST and the names that the plugin imports from them."""
    if not (host / TRAIN_SCRIPT).is_file():
        raise SDTrackError(f"{host}: not an OSTrack-style checkout; it lacks {TRAIN_SCRIPT}")
    wanted = [names for path in plugin_modules().values() for names in imports(path) if names[0] in HOST]
    for module, *names in sorted(wanted):
        path = module_file(host, module)
        if path is None:
            raise SDTrackError(f"{host}: not an OSTrack-style checkout; it lacks {module.replace('.', '/')}.py")
        there = _names(path)
        missing = [name for full in names if (name := full.removeprefix(f"{module}.")) not in there]
        if missing and "*" not in there:
            raise SDTrackError(f"{path}: it lacks {', '.join(missing)}, which the plugin imports from a host")


def _names(path: Path) -> set[str]:
    """The names that a module defines or imports at its top level."""
    found: set[str] = set()
    for node in ast.parse(read_bytes(path)).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found

"""Create a workspace for the VOT toolkit that contains a tracker of this project.

python tracking/create_vot_workspace.py --workspace W --script sdtrack --config vitb_300 --sequences DATA/vot2020 \\
    --alpha_refine ARcm_coco_seg_only_mask_384.pth.tar
"""

import _init_paths  # noqa: F401

import argparse
import shlex
from pathlib import Path

from tqdm import tqdm

from lib.test.vot.settings import VotSettings
from lib.test.vot.workspace import SHORT, check_tracker, write_workspace
from lib.registry import DEFAULT_CONFIG, DEFAULT_SCRIPT
from lib.utils.cli import add_backend_argument, add_override_argument, run_command
from lib.utils.local_paths import local_paths


def main() -> None:
    parser = arguments()
    args = parser.parse_args()
    mask = args.mask or ("alpha_refine" if args.alpha_refine else None)
    if mask is None:
        parser.error(
            "masks need AlphaRefine's weights: give --alpha_refine FILE, or choose another output: --mask box (filled "
            "boxes) or --mask none (rectangles)"
        )
    if (mask == "alpha_refine") != bool(args.alpha_refine):
        parser.error(
            f"--mask {mask}, --alpha_refine {args.alpha_refine}: only --mask alpha_refine takes --alpha_refine FILE, "
            "and needs it"
        )
    name = args.name or f"{args.script}_{args.config}" + {"alpha_refine": "_ar", "box": "_box", "none": ""}[mask]
    workspace = Path(args.workspace).absolute()
    log = workspace / "logs" / f"{name}_traceback.log"
    settings = VotSettings(
        script=args.script,
        config=args.config,
        save_dir=str(local_paths(save_dir=args.save_dir).save_dir.absolute()),
        log=str(log),
        mask=mask,
        checkpoint=_absolute(args.checkpoint),
        alpha_refine=_absolute(args.alpha_refine),
        device=args.device,
        backend=args.backend,
        overrides=tuple(args.overrides),
    )
    write_workspace(workspace, name, args.stack, settings, Path(args.sequences) if args.sequences else None)
    if not args.no_check:
        log.unlink(missing_ok=True)
        with tqdm(desc="checking the tracker", unit="frame") as bar:
            check_tracker(workspace, name, log, bar.update)
    print(f"workspace: {workspace}; tracker: {name}. Next:")
    for command in ("evaluate", "analysis --format json", "report"):
        print(f"    vot {command} --workspace {shlex.quote(str(workspace))} {name}")


def arguments() -> argparse.ArgumentParser:
    """The command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", required=True, metavar="W", help="folder of the workspace")
    parser.add_argument(
        "--stack", default="vot2020/shortterm", help=f"stack of the toolkit, or {SHORT}: adapted to short videos"
    )
    parser.add_argument("--script", default=DEFAULT_SCRIPT, help="which tracker, such as sdtrack")
    parser.add_argument("--config", default=DEFAULT_CONFIG, help="config of the tracker")
    parser.add_argument("--alpha_refine", metavar="FILE", help="AlphaRefine's weights: SEcmnet or ARnet_seg_mask")
    parser.add_argument(
        "--mask",
        choices=["alpha_refine", "box", "none"],
        help="output: alpha_refine: masks; box: filled boxes; none: rectangles",
    )
    parser.add_argument(
        "--sequences", metavar="DIR", help="sequences in VOT's layout: list.txt, <name>/color, groundtruth.txt"
    )
    parser.add_argument("--name", help="name of the tracker in the workspace; default: <script>_<config>[_ar|_box]")
    parser.add_argument("--checkpoint", help="weights file to use instead of the trained one below save_dir")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ...; default: the GPU if there is one")
    parser.add_argument("--save_dir", help="folder that holds the checkpoints")
    parser.add_argument("--no_check", action="store_true", help="do not run the tracker once as a check")
    add_backend_argument(parser)
    add_override_argument(parser)
    return parser


def _absolute(path: str | None) -> str | None:
    return str(Path(path).absolute()) if path else None


if __name__ == "__main__":
    run_command(main)

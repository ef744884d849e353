"""Scoring conventions: each reproduces the rules of a benchmark's evaluation tool.

They agree if the target is always visible and never lost. They differ in how they treat frames without a target and the
first frame, and in whether they average over frames or sequences. docs/EVALUATION.md compares them.
"""

from dataclasses import dataclass, replace
from typing import Literal

from lib.errors import ResultError

Exclusion = Literal["ours", "pytracking"]
MEANS = ("AUC", "OP50", "OP75", "P", "P_norm", "AO", "fps")


@dataclass(frozen=True)
class Convention:
    """Rules that turn boxes into scores. Absent frames: no usable ground truth box, or labelled as without a target."""

    name: str
    about: str
    figures: tuple[str, ...] = MEANS
    # conditions on finite ground truth boxes; area: w, h > 0; positive: x, y, w, h > 0; labelled: w, h > 0
    # if there are no visibility labels; finite: none, labels are ignored. Else frames labelled invisible are absent
    usable: Literal["area", "positive", "finite", "labelled"] = "area"
    counted: Literal["all", "present", "later"] = "all"  # frames in the denominators; later: present, but not the first
    fewer_in_denominator: bool = False  # divide by the number of present frames, even if absent frames are hits
    absent_precision: Literal["miss", "hit"] = "miss"
    absent_normalized: Literal["miss", "hit"] = "miss"
    hidden_miss: bool = False  # frames labelled invisible are misses, even if absent ones are hits
    first_is_ground_truth: bool = True  # the first predicted box is replaced with the ground truth
    repeat: Literal["empty", "failed", "none"] = (
        "none"  # predictions replaced with the last good one; empty: w or h is 0; failed: NaN, w or h <= 0
    )
    bounded: bool = False  # both boxes are clipped to the frame
    pooled: bool = False  # average over the frames of all sequences; else over sequences
    bins: Literal[21, 101] = 21  # overlap thresholds from 0 to 1
    normalized_at: float | None = 0.2  # P_norm: value of its curve there; None: mean of the curve from 0 to 0.5
    min_size: float = 0.0  # minimum ground truth size that divides a centre error, in pixels
    mean_rate: bool = False  # fps: mean of 1 / seconds over frames; else frames / seconds

    def for_dataset(self, dataset: str) -> "Convention":
        """The convention with the special rules of pytracking and OSTrack for a data set.

        In `uav`, absent frames are hits in precision, too. In `lasot`, frames labelled invisible are misses in
        normalised precision.
        """
        if self.name not in ("pytracking", "ostrack"):
            return self
        if dataset == "uav":
            about = f"{self.about}; on uav they are hits in precision, too"
            return replace(self, absent_precision="hit", about=about)
        if dataset == "lasot":
            about = f"{self.about}; on lasot frames labelled invisible are misses there, too"
            return replace(self, hidden_miss=True, about=about)
        return self

    def without_frames(self) -> "Convention":
        """The convention for ground truth without frames: boxes are not clipped, since the frame size is unknown."""
        if not self.bounded:
            return self
        return replace(self, bounded=False, about=f"{self.about}; no frames are available, so that nothing is clipped")


CONVENTIONS = {
    item.name: item
    for item in (
        Convention(
            name="ostrack",
            about="curves over all frames, then mean over sequences; the first frame counts as a hit; absent frames "
            "are misses in success and precision, hits in normalised precision",
            absent_normalized="hit",
            repeat="empty",
        ),
        Convention(
            name="pytracking",
            about="as ostrack, and a ground truth box that touches x = 0 or y = 0 counts as absent",
            usable="positive",
            absent_normalized="hit",
            repeat="empty",
        ),
        Convention(
            name="lasot_toolkit",
            about="LaSOT's evaluation toolkit: frames labelled invisible are misses, other frames without "
            "four positive ground-truth values are misses in success and hits in precision; failed boxes repeat the "
            "last good one; mean over sequences",
            usable="positive",
            absent_precision="hit",
            absent_normalized="hit",
            hidden_miss=True,
            repeat="failed",
        ),
        Convention(
            name="otb",
            about="OTB, and the got10k toolkit's ExperimentOTB: every frame counts, the first as a hit, frames "
            "without ground truth as misses; mean over sequences",
            figures=("AUC", "OP50", "OP75", "P", "AO", "fps"),
            usable="finite",
        ),
        Convention(
            name="got10k",
            about="GOT-10k: frames after the first with a visible target, boxes clipped to the frame as its toolkit "
            "does, the frames of all sequences averaged together",
            figures=("AO", "SR50", "SR75", "AUC", "fps"),
            usable="labelled",
            counted="later",
            first_is_ground_truth=False,
            bounded=True,
            pooled=True,
            bins=101,
            mean_rate=True,
        ),
        Convention(
            name="got10k_lasot",
            about="the got10k toolkit's ExperimentLaSOT: frames whose ground truth is not NaN; P_norm is the mean "
            "of its curve from 0 to 0.5; mean over sequences",
            figures=("AUC", "P", "P_norm", "AO", "fps"),
            usable="finite",
            counted="present",
            normalized_at=None,
            min_size=1.0,
        ),
    )
}


def get_convention(
    name: str | None, dataset: str, *, exclude_invalid_frames: Exclusion | None = None, bins: int | None = None
) -> Convention:
    """The convention of this name; None: "got10k" for GOT-10k's data sets, "ostrack" for all others.

    exclude_invalid_frames: "ours": absent frames do not count at all. "pytracking": like pytracking's option of that
    name, it removes absent frames only from the denominators; they may still be hits, so that a precision can exceed 1.
    The latter is for the conventions ostrack and pytracking only. bins: 21 or 101 overlap thresholds, None: as in the
    convention. Raises ResultError for an unknown name or an unsupported exclusion.
    """
    name = name or ("got10k" if dataset.startswith("got10k") else "ostrack")
    if name not in CONVENTIONS:
        raise ResultError(f"there is no convention '{name}'; supported: {', '.join(CONVENTIONS)}")
    convention = CONVENTIONS[name].for_dataset(dataset)
    if dataset.startswith("truth:"):
        convention = convention.without_frames()
    if exclude_invalid_frames == "pytracking":
        if convention.name not in ("ostrack", "pytracking"):
            raise ResultError(
                f"--exclude_invalid_frames pytracking: the convention {convention.name} does not support it; leave out "
                "pytracking, or choose --convention pytracking or ostrack"
            )
        about = (
            f"{convention.about}; frames without ground truth excluded from the denominators only, as pytracking does"
        )
        convention = replace(convention, fewer_in_denominator=True, about=about)
    if exclude_invalid_frames == "ours" and convention.counted == "all":
        about = f"{convention.about}; frames without ground truth excluded"
        usable = "area" if convention.usable == "finite" else convention.usable
        convention = replace(convention, counted="present", usable=usable, about=about)
    if bins not in (None, convention.bins):
        convention = replace(convention, bins=bins, about=f"{convention.about}; {bins} overlap thresholds")
    return convention

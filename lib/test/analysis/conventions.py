"""How the benchmarks' own tools count: one set of rules a convention.

They agree on a tracker that is always there and never lost, and differ in the frames without a target, in the first
frame, and in whether frames or sequences are averaged. docs/EVALUATION.md has them side by side.
"""

from dataclasses import dataclass, replace
from typing import Literal

from lib.errors import ResultError

Exclusion = Literal["ours", "pytracking"]
MEANS = ("AUC", "OP50", "OP75", "P", "P_norm", "AO", "fps")


@dataclass(frozen=True)
class Convention:
    """Rules by which boxes become scores. Absent frames: those without a usable ground truth box, or labelled so."""

    name: str
    about: str
    figures: tuple[str, ...] = MEANS
    # ground truth that counts as there: w and h > 0; x, y, w and h > 0; no NaN, whatever the labels say; by the labels
    # alone,
    # where there are none by w and h
    usable: Literal["area", "positive", "finite", "labelled"] = "area"
    counted: Literal["all", "present", "later"] = "all"  # frames of the denominators; later: present, without the first
    fewer_in_denominator: bool = False  # shares are of the present frames, whatever counts as a hit
    absent_precision: Literal["miss", "hit"] = "miss"
    absent_normalized: Literal["miss", "hit"] = "miss"
    hidden_miss: bool = False  # frames labelled invisible are misses, even where absent ones are hits
    first_is_ground_truth: bool = True  # the first predicted box is replaced with the ground truth
    repeat: Literal["empty", "failed", "none"] = (
        "none"  # predictions that repeat the last good one; failed: NaN, w or h <= 0
    )
    bounded: bool = False  # both boxes are clipped to the frame
    pooled: bool = False  # the mean runs over the frames of all sequences; else over sequences
    bins: Literal[21, 101] = 21  # overlap thresholds from 0 to 1
    normalized_at: float | None = 0.2  # P_norm: its curve there, or the mean of it from 0 to 0.5
    least_size: float = 0.0  # ground truth sizes that divide a normalised error are at least this, pixels
    mean_rate: bool = False  # fps: mean of 1 / seconds over frames; else frames / seconds

    def for_dataset(self, dataset: str) -> "Convention":
        """pytracking and OSTrack treat two data sets apart: absent frames of `uav` are hits in precision, frames of
        `lasot` that are labelled invisible are misses in normalised precision."""
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
        """The same for ground truth without frames: what clips boxes to the frame cannot do so."""
        if not self.bounded:
            return self
        return replace(self, bounded=False, about=f"{self.about}; here without frames, so that nothing is clipped")


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
            "four positive ground-truth values are misses in success and hits in precision; failed boxes repeat the last good "
            "one; mean over sequences",
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
            least_size=1.0,
        ),
    )
}


def get_convention(
    name: str | None, dataset: str, *, exclude_invalid_frames: Exclusion | None = None, bins: int | None = None
) -> Convention:
    """The convention of this name; None: GOT-10k's for its data sets, OSTrack's for all others.

    exclude_invalid_frames: "ours": absent frames do not count at all. "pytracking": as its option of that name has it,
    they leave the denominators alone, and stay hits where they are, so that a precision may be above 1; for the
    conventions ostrack and pytracking. bins: 21 or 101 overlap thresholds instead of the convention's. Raises
    ResultError for an unknown name, and for an exclusion that the convention does not know.
    """
    name = name or ("got10k" if dataset.startswith("got10k") else "ostrack")
    if name not in CONVENTIONS:
        raise ResultError(f"there is no convention '{name}'; there are: {', '.join(CONVENTIONS)}")
    convention = CONVENTIONS[name].for_dataset(dataset)
    if dataset.startswith("truth:"):
        convention = convention.without_frames()
    if exclude_invalid_frames == "pytracking":
        if convention.name not in ("ostrack", "pytracking"):
            raise ResultError(
                f"--exclude_invalid_frames pytracking: the convention {convention.name} does not know it; leave out "
                "pytracking, or take --convention pytracking or ostrack"
            )
        about = (
            f"{convention.about}; frames without ground truth excluded from the denominators alone, as pytracking does"
        )
        convention = replace(convention, fewer_in_denominator=True, about=about)
    if exclude_invalid_frames == "ours" and convention.counted == "all":
        about = f"{convention.about}; frames without ground truth excluded"
        usable = "area" if convention.usable == "finite" else convention.usable
        convention = replace(convention, counted="present", usable=usable, about=about)
    if bins not in (None, convention.bins):
        convention = replace(convention, bins=bins, about=f"{convention.about}; {bins} overlap thresholds")
    return convention

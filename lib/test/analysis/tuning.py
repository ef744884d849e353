"""Searches test-time settings on validation data: random or TPE (Bergstra et al. 2011) search by Optuna."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lib.errors import ConfigError
from lib.utils.extras import require
from lib.utils.parsing import parse_yaml

if TYPE_CHECKING:
    import optuna

Value = float | int | str | bool
TESTED = "TEST."  # only these keys change nothing that was trained
REPORTED = ("otb", "uav", "nfs", "lasot", "got10k_test", "trackingnet", "vot2020")  # test sets, never to be tuned on
SAMPLERS = ("tpe", "random")


@dataclass(frozen=True)
class Range:
    """The values of a config key to try: whole or real numbers from low to high, or one of the choices."""

    key: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    choices: tuple[Value, ...] = ()

    @classmethod
    def of(cls, text: str, config: Mapping[str, object]) -> Range:
        """Read KEY=LOW:HIGH or KEY=[A,B,C]. config: the tree of the config whose values are varied.

        Raises ConfigError for another form, or a key that has no single value below TEST.
        """
        key, _, values = text.partition("=")
        default: object = config
        for part in key.split("."):
            default = default.get(part) if isinstance(default, Mapping) else None
        if not key.startswith(TESTED) or not isinstance(default, Value):
            raise ConfigError(
                f"--range {text}: '{key}' is not a setting below {TESTED}; only these can change without a new training"
            )
        low, colon, high = values.partition(":")
        try:
            if not colon:
                choices = parse_yaml(values.encode())
                if not isinstance(choices, list) or not choices:
                    raise ValueError
                return cls(key, choices=tuple(choices))
            whole = isinstance(default, int)
            first, last = (int(low), int(high)) if whole else (float(low), float(high))
        except ValueError as error:
            raise ConfigError(
                f"--range {text}: expected KEY=LOW:HIGH, such as TEST.HANN_WEIGHT=0:0.8, or KEY=[A,B,C]; the value in "
                f"the config is {default!r}"
            ) from error
        if not first < last:
            raise ConfigError(f"--range {text}: {low} has to be less than {high}")
        return cls(key, first, last, whole)

    def suggest(self, trial: optuna.Trial) -> Value:
        """The value of a trial, from Optuna's sampler."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if self.whole:
            return trial.suggest_int(self.key, int(self.low), int(self.high))
        return round(trial.suggest_float(self.key, self.low, self.high), 4)


def check_validation(names: Sequence[str]) -> None:
    """Raise ConfigError if one of the data sets is a test set, whose scores are reported."""
    for name in names:
        if name in REPORTED:
            raise ConfigError(
                f"--dataset_name {name}: scores of this test set are reported, so that no setting may be chosen on it; "
                "choose on validation data: got10k_val, lasot_extension_subset, tnl2k, synthetic, or folder:PATH"
            )


@dataclass(frozen=True)
class Trial:
    """One finished trial: its number from 0, the values of the keys, and the score."""

    number: int
    values: Mapping[str, Value]
    score: float


def search(
    score: Callable[[int, Mapping[str, Value]], float],
    ranges: Sequence[Range],
    trials: int,
    journal: Path,
    *,
    sampler: str = "tpe",
    seed: int = 0,
) -> list[Trial]:
    """Search until `trials` trials are finished, and return all of them, the best one first.

    score: called with a trial's number and values, returns what to maximise. journal: file that keeps finished trials;
    if it exists, the search continues after them, and an interrupted trial is forgotten. sampler: one of SAMPLERS.
    Raises ConfigError if Optuna is not installed.
    """
    require("tune", "optuna", "the search for settings")
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal))),
        study_name="settings",
        direction="maximize",
        load_if_exists=True,
    )

    def objective(trial: optuna.Trial) -> float:
        values = {item.key: item.suggest(trial) for item in ranges}
        trial.set_user_attr("values", values)
        return score(trial.number, values)

    def finished() -> list[optuna.trial.FrozenTrial]:
        return study.get_trials(states=[optuna.trial.TrialState.COMPLETE])

    start = seed + len(study.trials)  # a search that continues must not draw the first values again
    study.sampler = (
        optuna.samplers.RandomSampler(start) if sampler == "random" else optuna.samplers.TPESampler(seed=start)
    )
    study.optimize(objective, n_trials=max(trials - len(finished()), 0))
    found = [Trial(item.number, item.user_attrs["values"], item.value) for item in finished()]
    return sorted(found, key=lambda trial: -trial.score)

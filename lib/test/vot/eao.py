"""Expected average overlap (EAO) of trackers, read from the VOT toolkit's JSON output or a hand-written JSON file."""

from pathlib import Path
from shlex import quote

from lib.errors import ResultError
from lib.utils.parsing import parse_json

EAO_ANALYSES = ("multistart_eao_score", "vot.analysis.multistart.EAOScore")  # in stack files, and in results


def read_eao(source: Path, experiment: str = "baseline") -> dict[str, float]:
    """Read the expected average overlap of each tracker: tracker name -> EAO in [0, 1].

    source: a JSON file {"tracker": EAO, ...}; a file written by `vot analysis --format json`; or a VOT workspace, of
    which the newest JSON file below analysis/ is read. experiment: name of the experiment in the workspace's stack.
    Raises ResultError that names the file if it is missing, unreadable or has no EAO in [0, 1].
    """
    file = _newest_analysis(source) if source.is_dir() else source
    try:
        content = parse_json(file.read_bytes())
    except (OSError, ValueError) as error:
        raise ResultError(f"{file}: not a readable JSON file ({error})") from error
    if not isinstance(content, dict):
        raise ResultError(f'{file}: expected {{"tracker": EAO, ...}} or the output of vot analysis --format json')
    scores = _of_toolkit(file, content, experiment) if "results" in content else content
    wrong = [name for name, value in scores.items() if not _is_share(value)]
    if wrong or not scores:
        raise ResultError(
            f"{file}: no EAO between 0 and 1 for {', '.join(wrong) or 'any tracker'}; expected tracker -> EAO"
        )
    return {name: float(value) for name, value in scores.items()}


def _is_share(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


def _newest_analysis(workspace: Path) -> Path:
    files = sorted((workspace / "analysis").rglob("*.json"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise ResultError(
            f"{workspace}: no analysis/*.json; run: vot analysis --workspace {quote(str(workspace))} --format json"
        )
    return files[-1]


def _of_toolkit(file: Path, content: dict, experiment: str) -> dict[str, float]:
    """EAO of each tracker in the output of `vot analysis`.

    The toolkit lists the results of an experiment's analyses without names, in the order of the stack. Each result has
    one value per tracker, in the order of `trackers`. Raises ResultError that names the file.
    """
    try:
        part = content["results"][experiment]
        kinds = [analysis["type"] for analysis in part["parameters"]["analyses"]]
        [place] = [index for index, kind in enumerate(kinds) if kind in EAO_ANALYSES]
        values = part["results"][place]
        return {name: value[0] for name, value in zip(content["trackers"], values, strict=True)}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ResultError(
            f"{file}: no EAO of the experiment '{experiment}' in it ({error!r}); expected the output of vot analysis "
            "--format json for a stack with multistart experiments"
        ) from error

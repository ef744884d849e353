"""The words of the project: standard English and the field's terms, in code, docs, help and the report's pages."""

import ast
import random
import re

import pytest
from doubles import PROJECT

AVOIDED = {  # what is not written -> what is written instead
    r"(?<!round )(?<!round-)(?<!round_)(?<!\x22)\btruths?\b(?!:PATH|:<|:\{| value)": "ground truth",
    r"\bthings?\b|\bnothing of\b": "object, cut-out, setting ... whatever it is",
    r"\bbox that never moves\b": "static box",
    r"\b(LEAST|MOST)_[A-Z]": "MIN_, MAX_",
    r"\bat hand\b": "available",
    r"\bnumbers? that (is|are) none\b|\bno numbers?\b|\bnot a number\b": "NaN, Inf",
    r"\bhow so ever\b": "however",
    r"\b(is|are|was|were) said\b|\bsaid on\b|\bsays so\b|\band says? it\b": "logged, printed, documented",
    r"\bhangs? on\b": "depends on",
    r"\balone\b": "only",
    r"\bso (many|often|much) (of|that is|a|an|the|times?|frames?|pixels?|crops?|epochs?|pairs?|steps?)\b": "so many",
    r"\bon the way\b": "on the fly, meanwhile",
    r"\bof ours\b|\bnone of ours\b": "of this project",
    r"\bfor want of\b": "without, since ... lacks",
    r"\ball the same\b": "nevertheless",
    r"\bstumbles?\b": "fails",
    r"\bput up with\b": "tolerated",
    r"\bnow and then\b|\bperhaps\b": "sometimes, with probability p, optional",
    r"\bknows? no\b": "does not depend on, does not support",
    r"(?<!there )(?<!There )\b(is|are) no (?!longer)[a-z]+\b": "is not a ...",
    r"\blook-alike": "similar distractor",
    r"\bwhat (it|he|she) likes\b": "any value",
    r"\bhaves? it that\b|\bas [a-z']+ ha(s|ve) it\b": "as in ...",
    r"\bnobody\b|\banybody\b|\bsomebody\b": "users, other tools, no one ... name them",
    r"\bone's own\b|\bof one's\b": "your, custom",
    r"\bfar on\b|\bfurthest on\b": "newest",
    r"\bplainest\b|\bfor ever\b|\bat all events\b": "simplest, permanently",
    r"\btaken off\b|\btakes? away\b|\btaken away\b": "removed",
}
FILES = [
    path
    for pattern in ("*.md", "*.sh", "lib/**/*.py", "tracking/*.py", "external/**/*.py", "benchmarks/*.py", "docs/*.md",
                    "weights/*.md", "experiments/**/*.yaml", "pretrained_models/*.md", "lib/**/*.md", "lib/**/*.js",
                    "lib/**/*.html")
    for path in sorted(PROJECT.glob(pattern))
]  # fmt: skip


def text_of(path):
    """The file without what is not our language: string keys and names stay, quoted output of tools does not matter."""
    return path.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_words_that_are_not_used(path):
    found = [
        f"line {number}: {match[0]!r}: write {instead}"
        for number, line in enumerate(text_of(path).splitlines(), start=1)
        for pattern, instead in AVOIDED.items()
        for match in [re.search(pattern, line, re.IGNORECASE if pattern.islower() else 0)]
        if match
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "line", ["# the truth of a frame", "MOST_PIXELS = 3", '"""The box that never moves."""', "x alone", "no number"]
)
def test_such_words_are_found(line):
    assert any(re.search(pattern, line) for pattern in AVOIDED)


def documented():
    """(place, node, docstring or "", public) of every module, class and function below lib/ and external/."""
    for folder in ("lib", "external"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            module = str(path.relative_to(PROJECT))
            owners = [(tree, "")]
            while owners:
                owner, prefix = owners.pop()
                for node in owner.body:
                    if isinstance(node, ast.ClassDef | ast.FunctionDef):
                        name = f"{prefix}{node.name}"
                        public = not any(part.startswith("_") for part in name.split("."))
                        yield f"{module}: {name}", node, ast.get_docstring(node) or "", public
                        if isinstance(node, ast.ClassDef):
                            owners.append((node, f"{name}."))


def test_public_docstrings():
    wanted = [(place, text) for place, _, text, public in documented() if public]
    missing = [place for place, text in wanted if not text]
    assert len(missing) <= 0.05 * len(wanted), missing


SHAPE = re.compile(
    r"\((\.\.\.|[A-Z0-9][\w*+/ ]*)(, ?[\w*+/ .]+)*,?\)|scalar|image|frame|boxes|tensors?|batch", re.IGNORECASE
)


def test_arrays_have_shapes_and_errors_are_named():
    """A public function with arrays says their shapes, one that raises an error of the project names it."""
    wrong = []
    for place, node, text, public in documented():
        if not (public and text and isinstance(node, ast.FunctionDef)):
            continue
        annotations = [ast.unparse(item.annotation) for item in node.args.args if item.annotation]
        annotations += [ast.unparse(node.returns)] if node.returns else []
        if any(re.search(r"\bTensor\b|ndarray", item) for item in annotations) and not SHAPE.search(text):
            wrong.append(f"{place}: no shape")
        raised = {
            item.exc.func.id
            for item in ast.walk(node)
            if isinstance(item, ast.Raise) and isinstance(item.exc, ast.Call) and isinstance(item.exc.func, ast.Name)
        }
        for name in raised:
            if name.endswith("Error") and "Raise" not in text:
                wrong.append(f"{place}: {name} is not mentioned")
    assert not wrong, "\n".join(wrong)


def test_ten_docstrings():
    """Ten docstrings to be read by a person: pytest -s -k ten_docstrings."""
    chosen = random.Random(22).sample([(place, text) for place, _, text, public in documented() if public and text], 10)
    for place, text in chosen:
        print(f"\n{place}\n    {text}")
    assert len(chosen) == 10

"""Order in the code: one name for each class and public function, and files and functions of readable length."""

import ast
from collections import defaultdict

from doubles import PROJECT

# Entry points that lib.registry looks up in each tracker's modules, and the usual names in a command's file
SHARED_NAMES = {"parameters", "get_tracker_class", "build_actor", "check", "main", "arguments"}
MAX_LINES, MAX_FUNCTION = 300, 55


def sources(*folders):
    for folder in folders:
        for path in sorted((PROJECT / folder).glob("**/*.py")):
            yield path.relative_to(PROJECT).as_posix(), path.read_text(encoding="utf-8")


def repeated(files):
    """Public names that two or more files define at their top level: name -> files. files: (name, source) pairs."""
    places = defaultdict(list)
    for name, source in files:
        for node in ast.parse(source).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                places[node.name].append(name)
    return {name: files for name, files in places.items() if len(files) > 1 and name not in SHARED_NAMES}


def test_classes_and_functions_have_names_of_their_own():
    assert repeated(sources("lib", "external", "tracking")) == {}
    assert repeated([("a.py", "class Box: ..."), ("b.py", "def Box(): ...")]) == {"Box": ["a.py", "b.py"]}


def test_files_are_short():
    lengths = {name: len(source.splitlines()) for name, source in sources("lib", "external", "tracking", "benchmarks")}
    assert len(lengths) > 150
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_functions_are_short():
    long = [
        f"{name}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for name, source in sources("lib", "external", "tracking")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.end_lineno - node.lineno >= MAX_FUNCTION
    ]
    assert not long, "\n".join(long)

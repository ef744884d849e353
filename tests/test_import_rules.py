"""Who may import whom (docs/ARCHITECTURE.md), read from the syntax trees; and that the toolkit knows no tracker."""

import ast

import pytest
from doubles import PROJECT

ANYONE = {"lib.errors"}
RULES = {
    "lib.errors": set(),
    "lib.utils": set(),
    "lib.synthetic": {"lib.utils"},
    "lib.config": {"lib.utils.parsing"},
    "lib.config.host": {"lib.config", "lib.utils.logs"},
    "lib.registry": set(),
    "lib.models": {"lib.utils"},
    "lib.deploy": {"lib.utils", "lib.models.vit.one_stream", "lib.runtime.engines"},
    "lib.deploy.export": {"lib.deploy", "lib.utils", "lib.test.tracker.session"},
    "lib.deploy.runtime": {"lib.deploy", "lib.runtime", "lib.utils", "lib.test.tracker.session"},
    "lib.deploy.int8_export": {"lib.deploy", "lib.runtime.engines", "lib.test.tracker.session"},
    "lib.deploy.web": {"lib.deploy", "lib.runtime", "lib.utils", "lib.test.tracker.session"},
    "lib.runtime": {"lib.test.tracker.targets", "lib.test.tracker.choice", "lib.test.tracker.multi", "lib.utils"},
    "lib.train.data": {"lib.utils", "lib.train.dataset"},
    "lib.train.dataset": {"lib.utils", "lib.synthetic"},
    "lib.train.composed": {"lib.utils", "lib.train.data", "lib.train.dataset"},
    "lib.train.trainers": {"lib.utils", "lib.train.admin"},
    "lib.train.admin": {"lib.utils"},
    "lib.train.actors": {"lib.models", "lib.utils"},
    "lib.train.builders": {
        "lib.config.loader",
        "lib.train.composed",
        "lib.train.data",
        "lib.train.dataset",
        "lib.train.trainers.joint_optimizer",
        "lib.utils",
    },
    "lib.train.launch": set(),
    "lib.train.finetuning": {"lib.config.loader", "lib.utils"},
    "lib.train.train_script": {"lib.train", "lib.registry", "lib.config", "lib.utils"},
    "lib.train.run_training": {"lib.train", "lib.config", "lib.utils"},
    "lib.test.utils": {"lib.config", "lib.utils", "lib.test.evaluation.environment"},
    "lib.test.tracker": {"lib.models", "lib.config", "lib.deploy", "lib.utils", "lib.test.utils.network_parameters"},
    "lib.test.parameter": {"lib.test.utils"},
    "lib.test.evaluation": {"lib.utils", "lib.registry", "lib.config", "lib.synthetic"},
    "lib.test.evaluation.datasets": {"lib.test.evaluation", "lib.test.vot.vot2020dataset", "lib.utils"},
    "lib.test.analysis": {
        "lib.test.evaluation.data",
        "lib.test.evaluation.named_results",
        "lib.test.evaluation.origin",
        "lib.test.evaluation.results",
        "lib.utils.annotations",
        "lib.utils.extras",
        "lib.utils.files",
        "lib.utils.overlap",
        "lib.utils.parsing",
    },
    "lib.test.vot": {"lib.test.evaluation", "lib.test.analysis.tables", "lib.registry", "lib.utils", "external"},
    "lib.vis": {"lib.utils", "lib.test.evaluation", "lib.test.tracker"},
    "lib.vis.report": {"lib.utils", "lib.test.evaluation", "lib.test.analysis"},
    "lib.demo": {"lib"},
    "lib.plugin": {"lib.modernise", "lib.utils"},
    "lib.modernise": set(),
    "tracking": {"lib"},
    "external": set(),
}
WITHOUT_TORCH = (
    "lib.test.analysis",
    "lib.test.vot.eao",
    "lib.test.vot.multistart",
    "lib.test.vot.resets",
    "lib.runtime",
)

TRACKERS = {"sdtrack", "ostrack"}
ROOMS = ("lib.models", "lib.config")  # a tracker has a package of its own there, elsewhere modules of its name
KNOW_TRACKERS = {  # besides the trackers' own modules
    "lib.plugin",
    "lib.demo",
    "lib.test.analysis.conventions",  # "ostrack" is a rule of scoring there
    "tracking.export_plugin",
}


def covers(prefix: str, name: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def modules():
    for folder in ("lib", "tracking", "external"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rule_of(module: str) -> str | None:
    return max((rule for rule in RULES if covers(rule, module)), key=len, default=None)


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_a_module_imports_only_what_its_layer_may(module, path):
    rule = rule_of(module)
    if rule is None:
        assert not path.read_text(encoding="utf-8").strip(), f"{module} has no rule"
        return
    allowed = RULES[rule] | {rule} | (set() if rule == "external" else ANYONE)
    ours = {name for name in imports(path) if covers("lib", name) or covers("external", name)}
    wrong = {name for name in ours if not any(covers(prefix, name) for prefix in allowed)}
    # "from lib.x import name" also yields lib.x alone where lib.x.name is a module of an allowed layer
    wrong -= {name for name in wrong if any(covers(name, prefix) for prefix in allowed)}
    assert not wrong, f"{module} imports {sorted(wrong)}; its layer may import {sorted(allowed)}"


def test_scoring_and_the_runtime_never_import_torch():
    """Neither itself nor through a module of ours."""
    files = dict(modules())
    todo, seen = [name for name in files if any(covers(prefix, name) for prefix in WITHOUT_TORCH)], set()
    while todo:
        name = todo.pop()
        seen.add(name)
        names = set(imports(files[name]))
        assert not any(covers("torch", other) for other in names), name
        todo += [other for other in names if other in files and other not in seen]
    assert "lib.utils.image" in seen


def test_the_rules_would_notice_a_model_that_reads_configs():
    allowed = RULES[rule_of("lib.models.sdtrack.sdtrack")]
    assert not any(covers(prefix, "lib.config.loader") for prefix in allowed)


def tracker_of(module: str) -> str | None:
    """The tracker whose own module this is; None for a module of the toolkit."""
    parts = module.split(".")
    if any(covers(room, module) for room in ROOMS) and len(parts) > 2:
        return parts[2] if parts[2] in TRACKERS else None
    return parts[-1] if parts[0] == "lib" and parts[-1] in TRACKERS else None


def mentions(source: str, own: str | None = None) -> list[str]:
    """What a module knows of trackers other than `own`: imports of their modules, and their script names in
    comparisons, calls and default arguments."""
    found = []

    def names_in(nodes) -> list[str]:
        inside = (child for node in nodes if node is not None for child in ast.walk(node))
        values = {child.value for child in inside if isinstance(child, ast.Constant) and isinstance(child.value, str)}
        return sorted(values & (TRACKERS - {own}))

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            names = []
        found += [name for name in names if tracker_of(name) not in (None, own)]
        if isinstance(node, ast.Compare):
            found += names_in([node.left, *node.comparators])
        elif isinstance(node, ast.Call) and not (
            isinstance(node.func, ast.Attribute) and node.func.attr == "getLogger"
        ):
            direct = [*node.args, *(keyword.value for keyword in node.keywords)]
            found += names_in(value for value in direct if not isinstance(value, ast.Call | ast.Lambda))
        elif isinstance(node, ast.arguments):
            found += names_in([*node.defaults, *node.kw_defaults])
    return found


@pytest.mark.parametrize(("module", "path"), list(modules()), ids=lambda value: value if isinstance(value, str) else "")
def test_the_toolkit_knows_no_tracker_and_trackers_do_not_know_each_other(module, path):
    if module not in KNOW_TRACKERS:
        assert not mentions(path.read_text(encoding="utf-8"), tracker_of(module))


@pytest.mark.parametrize(
    ("source", "own", "found"),
    [
        (
            "from lib.models.sdtrack import build_sdtrack",
            None,
            ["lib.models.sdtrack", "lib.models.sdtrack.build_sdtrack"],
        ),
        ("import lib.config.ostrack.config", "sdtrack", ["lib.config.ostrack.config"]),
        ("from lib.train.actors import sdtrack", None, ["lib.train.actors.sdtrack"]),
        ("from lib.test.tracker.sdtrack import SDTrackTracker", "sdtrack", []),
        ("if script == 'sdtrack': pass", None, ["sdtrack"]),
        ("if script in ('ostrack', 'static'): pass", None, ["ostrack"]),
        ("find_part('sdtrack', 'build')", None, ["sdtrack"]),
        ("add_argument('--script', default='sdtrack')", None, ["sdtrack"]),
        ("def run(script='ostrack'): pass", None, ["ostrack"]),
        ("def run(*, script='ostrack'): pass", "ostrack", []),
        ("logging.getLogger('sdtrack')", None, []),
        ("DEFAULT = 'sdtrack'", None, []),
        ("'written from the paper of sdtrack'", None, []),
    ],
)
def test_a_planted_mention_is_found(source, own, found):
    assert mentions(source, own) == found

"""Who may import whom (docs/ARCHITECTURE.md), read from the import statements."""

import ast

import pytest
from doubles import PROJECT

ANYONE = {"lib.errors"}
RULES = {
    "lib.errors": set(),
    "lib.utils": set(),
    "lib.config": {"lib.utils.parsing"},
    "lib.registry": set(),
    "lib.models": {"lib.utils"},
    "lib.train.data": {"lib.utils", "lib.train.dataset"},
    "lib.train.dataset": {"lib.utils"},
    "lib.train.trainers": {"lib.utils", "lib.train.admin"},
    "lib.train.admin": {"lib.utils"},
    "lib.train.actors": {"lib.models", "lib.utils"},
    "lib.train.base_functions": {
        "lib.train.data",
        "lib.train.dataset",
        "lib.train.trainers.joint_optimizer",
        "lib.utils",
    },
    "lib.train.launch": set(),
    "lib.train.train_script": {"lib.train", "lib.registry", "lib.config", "lib.utils"},
    "lib.train.run_training": {"lib.train", "lib.config", "lib.utils"},
    "lib.test.utils": {"lib.config", "lib.utils", "lib.test.evaluation.environment"},
    "lib.test.tracker": {"lib.models", "lib.config", "lib.utils"},
    "lib.test.parameter": {"lib.test.utils"},
    "lib.test.evaluation": {"lib.utils", "lib.registry", "lib.config"},
    "lib.test.analysis": {
        "lib.test.evaluation.data",
        "lib.test.evaluation.results",
        "lib.utils.annotations",
        "lib.utils.files",
        "lib.utils.masks",
        "lib.utils.parsing",
    },
    "lib.test.vot": {"lib.test.evaluation", "lib.utils", "external"},
    "lib.vis": {"lib.utils", "lib.test.evaluation"},
    "lib.vis.report": {"lib.utils", "lib.test.evaluation", "lib.test.analysis"},
    "lib.demo": {"lib"},
    "lib.plugin": {"lib.modernise", "lib.utils"},
    "lib.modernise": set(),
    "tracking": {"lib"},
    "external": set(),
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


def test_analysis_never_imports_torch():
    """Neither itself nor through a module of ours."""
    files = dict(modules())
    todo, seen = [name for name in files if covers("lib.test.analysis", name)], set()
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

"""Imports go one way, and heavy packages stay where they belong."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "reflect_core"
HEAVY = {"torch", "transformers", "peft", "accelerate"}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(node: ast.AST, *, inside_functions: bool) -> Iterator[str]:
    """Names of the modules that a tree imports when run, relative imports left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        elif isinstance(child, ast.ImportFrom) and child.level == 0 and child.module:
            yield child.module
        if is_type_checking(child):
            continue
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) and not inside_functions:
            continue
        yield from imports(child, inside_functions=inside_functions)


def tops(path: Path, *, inside_functions: bool) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = imports(tree, inside_functions=inside_functions)
    return {name.partition(".")[0] for name in found}


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def packages() -> dict[str, Path]:
    """The plugins' packages by name."""
    return {path.parent.name: path.parent for path in ROOT.glob("plugins/*/reflect_*/__init__.py")}


@pytest.mark.parametrize("path", sources(CORE), ids=lambda path: str(path.relative_to(ROOT)))
def test_core_imports_no_plugin(path: Path) -> None:
    assert not tops(path, inside_functions=True) & set(packages())


@pytest.mark.parametrize(
    "path",
    [path for path in sources(CORE) if CORE / "lm" not in path.parents],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_heavy_packages_are_imported_in_lm_alone(path: Path) -> None:
    assert not tops(path, inside_functions=False) & HEAVY


@pytest.mark.parametrize("name", sorted(packages()))
def test_a_plugin_imports_no_other_plugin(name: str) -> None:
    others = set(packages()) - {name}
    for path in sources(packages()[name]):
        assert not tops(path, inside_functions=True) & others, path


@pytest.mark.parametrize("name", sorted(packages()))
def test_the_module_with_a_plugins_hooks_is_light(name: str) -> None:
    assert not tops(packages()[name] / "plugin.py", inside_functions=False) & HEAVY


@pytest.mark.parametrize(
    ("text", "inside", "expected"),
    [
        ("import torch", False, {"torch"}),
        ("def f():\n    import torch.nn", False, set()),
        ("def f():\n    import torch.nn", True, {"torch"}),
        ("if TYPE_CHECKING:\n    import torch", True, set()),
        ("try:\n    from peft import x\nexcept ImportError: ...", False, {"peft"}),
        ("class A:\n    import accelerate", False, {"accelerate"}),
        ("from . import torch", True, set()),
    ],
)
def test_the_rule_sees(tmp_path: Path, text: str, inside: bool, expected: set[str]) -> None:
    path = tmp_path / "module.py"
    path.write_text(text)
    assert tops(path, inside_functions=inside) == expected

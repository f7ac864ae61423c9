"""A rule for all of the package's code: a generator holds no context open while its caller runs."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import unlearnbench_methods
import unlearnbench_tasks

import unlearnbench

PACKAGES = (unlearnbench, unlearnbench_methods, unlearnbench_tasks)
SOURCES = sorted(path for package in PACKAGES for path in Path(str(package.__file__)).parent.rglob("*.py"))
# These make context managers of a function, which leave the block in the order in which it was entered.
MAKE_CONTEXTS = {"contextmanager", "asynccontextmanager", "fixture"}


def own(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below, without those of functions and classes defined inside."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield child
            yield from own(child)


def yields(node: ast.AST) -> bool:
    return any(isinstance(inside, ast.Yield | ast.YieldFrom) for inside in own(node))


def name_of(decorator: ast.expr) -> str:
    """``mode`` of ``@torch.mode()``."""
    return ast.unparse(decorator).split("(")[0].rpartition(".")[2]


def open_contexts(source: str) -> list[str]:
    """Generators that yield within a ``with`` block, or run in the mode that a decorator such as ``no_grad`` sets."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) or not yields(function):
            continue
        decorators = {name_of(decorator) for decorator in function.decorator_list}
        if decorators & MAKE_CONTEXTS:
            continue
        blocks = [node for node in own(function) if isinstance(node, ast.With | ast.AsyncWith) and yields(node)]
        if blocks or decorators & {"no_grad", "enable_grad", "inference_mode", "autocast"}:
            found.append(function.name)
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: "/".join(path.parts[-2:]))
def test_no_generator_holds_a_context_open_across_a_yield(path: Path) -> None:
    assert open_contexts(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("def f():\n    with autocast():\n        yield 1", ["f"]),
        ("def f():\n    with autocast():\n        for x in y:\n            yield x", ["f"]),
        ("@torch.inference_mode()\ndef f():\n    yield 1", ["f"]),
        ("@contextmanager\ndef f():\n    with autocast():\n        yield", []),
        ("def f():\n    with autocast():\n        x = 1\n    yield x", []),
        ("def f():\n    with autocast():\n        def g():\n            yield 1\n        return g", []),
    ],
)
def test_rule_finds_open_contexts_and_nothing_else(body: str, found: list[str]) -> None:
    assert open_contexts(body) == found

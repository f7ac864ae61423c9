"""Which changes can be made to a module, and a random sample of them."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.plugins import get_operator

COMPARISONS = {"Lt": ("LtE", "Gt"), "LtE": ("Lt", "Gt"), "Gt": ("GtE", "Lt"), "GtE": ("Gt", "Lt"), "Eq": ("NotEq",)}
COMPARISONS |= {"NotEq": ("Eq",), "Is": ("IsNot",), "IsNot": ("Is",)}
ARITHMETIC = {"Add": ("Sub",), "Sub": ("Add",), "Mul": ("Div",), "Div": ("Mul",), "FloorDiv": ("Div",), "Mod": ("Mul",)}
OPERATORS = (
    "core/NumberReplacer",
    "core/ReplaceTrueWithFalse",
    "core/ReplaceFalseWithTrue",
    "core/ReplaceAndWithOr",
    "core/ReplaceOrWithAnd",
    "core/ReplaceBreakWithContinue",
    "core/ReplaceContinueWithBreak",
    "core/AddNot",
    "core/ReplaceUnaryOperator_Delete_Not",
    "core/ReplaceUnaryOperator_Delete_USub",
    *(f"core/ReplaceComparisonOperator_{old}_{new}" for old, others in COMPARISONS.items() for new in others),
    *(f"core/ReplaceBinaryOperator_{old}_{new}" for old, others in ARITHMETIC.items() for new in others),
)
DELETE = "delete statement"
Position = tuple[int, int]


@dataclass(frozen=True)
class Mutant:
    """One change to one module.

    Attributes:
        module: path below the checkout.
        occurrence: which of the places at which the operator applies in that module.
        line: counted from 1.
    """

    module: str
    operator: str
    occurrence: int
    line: int

    def code(self, root: Path) -> str:
        """The module's text with the change."""
        source = (root / self.module).read_text(encoding="utf-8")
        changed = mutate_code(source, _operator(self.operator), self.occurrence)
        if not changed or changed == source:
            raise ValueError(f"{self} changes nothing")
        return str(changed)


class DeleteStatement(Operator):  # type: ignore[misc]
    """Replaces a call or an augmented assignment that is a statement of its own with `pass`."""

    def mutation_positions(self, node: Any) -> Iterator[tuple[Position, Position]]:
        """The node's, if it is such a statement."""
        augmented = node.type == "expr_stmt" and _is_augmented(node.children[1])
        if augmented or (node.type == "atom_expr" and node.parent.type == "simple_stmt"):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        """A `pass` in its place."""
        import parso

        return parso.python.tree.Keyword("pass", node.start_pos, prefix=node.get_first_leaf().prefix)

    @classmethod
    def examples(cls) -> tuple[Any, ...]:
        """None: they are for the library's own tests."""
        return ()


def mutants(root: Path, module: str) -> list[Mutant]:
    """All changes that can be made to a module, outside annotations."""
    tree = get_ast((root / module).read_text(encoding="utf-8"))
    found = []
    for name in (*OPERATORS, DELETE):
        operator = _operator(name)
        places = [(node, place) for node in ast_nodes(tree) for place in operator.mutation_positions(node)]
        for occurrence, (node, (start, _)) in enumerate(places):
            if not _is_annotation(node):
                found.append(Mutant(module, name, occurrence, start[0]))
    return found


def sample(root: Path, modules: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """So many mutants of these modules, in random order: a line is drawn first, then one of its changes.

    A line with many operators would otherwise be drawn as often as it has them.
    """
    by_line: dict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for module in modules:
        for mutant in mutants(root, module):
            by_line[module, mutant.line].append(mutant)
    generator = random.Random(seed)
    lines = generator.sample(sorted(by_line), min(count, len(by_line)))
    return [generator.choice(by_line[line]) for line in lines]


def _is_augmented(sign: Any) -> bool:
    return sign.type == "operator" and sign.value != "=" and str(sign.value).endswith("=")


def _operator(name: str) -> Operator:
    return DeleteStatement() if name == DELETE else get_operator(name)()


def _is_annotation(node: Any) -> bool:
    """Whether the code is never run: a type annotation, or an import for types only."""
    child, parent = node, node.parent
    while parent is not None:
        if parent.type == "tfpdef" and child is not parent.children[0]:
            return True
        if parent.type == "annassign" and child is parent.children[1]:
            return True
        if parent.type == "funcdef" and child is parent.annotation:
            return True
        if _is_for_types(parent):
            return True
        child, parent = parent, parent.parent
    return _is_for_types(node)


def _is_for_types(node: Any) -> bool:
    return node.type == "if_stmt" and node.children[1].get_code().strip() == "TYPE_CHECKING"

"""Every small change of a module's source: what the tests are tried on.

One operator, comparison, condition, number, boolean or return at a time. Not changed, since no
result can show it: strings (docstrings, messages, labels), what stands in a `raise`, type hints
and aliases, the keywords of `HINTS`, and sizes of memory (names with `BYTES`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

HINTS = ("strict", "non_blocking", "check_invariants")
"""Keywords that guard what is so already, or say how fast."""

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult},
    **{ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
    **{ast.Continue: ast.Break, ast.Break: ast.Continue},
}


@dataclass(frozen=True)
class Mutant:
    """One change: its line, old and new in short, and the whole new source."""

    line: int
    old: str
    new: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """Every mutant of a module's source, from its top to its end."""
    tree, found = ast.parse(source), []
    for node in _changeable(tree):
        for field, new in _changes(node):
            line = (node.target if isinstance(node, ast.comprehension) else node).lineno
            before, old = _shown(node), getattr(node, field)
            setattr(node, field, new)
            found.append(Mutant(line, before, _shown(node), ast.unparse(tree)))
            setattr(node, field, old)
    return found


def _changeable(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that may be changed, `node` and what is below it, in the order of the source."""
    if isinstance(node, ast.Raise | ast.JoinedStr) or _cannot_show(node):
        return
    yield node
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _changeable(child)


def _cannot_show(node: ast.AST) -> bool:
    match node:
        case ast.keyword(arg=name):
            return name in HINTS
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            is_alias = isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)
            return is_alias or "BYTES" in name
    return False


def _changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """The changes of a node itself: which field gets which value."""
    match node:
        case ast.Constant(value=bool(value)):
            yield "value", not value
        case ast.Constant(value=int(value) | float(value)):
            yield "value", value + 1
        case ast.Compare(ops=ops):
            for at, op in enumerate(ops):
                yield "ops", [*ops[:at], SWAPPED[type(op)](), *ops[at + 1 :]]
        case ast.BoolOp(op=op) | ast.BinOp(op=op) | ast.AugAssign(op=op):
            yield "op", SWAPPED[type(op)]()
        case ast.UnaryOp(op=ast.USub()):
            yield "op", ast.UAdd()
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield "operand", ast.UnaryOp(ast.Not(), operand)
        case ast.Return(value=ast.expr() as value) if ast.unparse(value) != "None":
            yield "value", ast.Constant(None)
        case ast.If(test=test) | ast.IfExp(test=test) if _is_plain(test):
            yield "test", ast.UnaryOp(ast.Not(), test)
        case ast.comprehension(ifs=[test]) if _is_plain(test):
            yield "ifs", [ast.UnaryOp(ast.Not(), test)]
        case ast.Continue() | ast.Break():
            yield "__class__", SWAPPED[type(node)]


def _is_plain(test: ast.expr) -> bool:
    """Whether a condition has no operator of its own that is changed."""
    return isinstance(test, ast.Name | ast.Attribute | ast.Call | ast.Subscript)


def _shown(node: ast.AST) -> str:
    return ast.unparse(node.test if isinstance(node, ast.If) else node).strip()

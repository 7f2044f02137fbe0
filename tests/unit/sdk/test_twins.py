"""The synchronous client is the asynchronous one without waiting: same names, same arguments, same code."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import evolving_ai.sdk.asynchronous.ai as async_ai
import evolving_ai.sdk.asynchronous.budgets as async_budgets
import evolving_ai.sdk.asynchronous.dna as async_dna
import evolving_ai.sdk.asynchronous.framework as async_framework
import evolving_ai.sdk.asynchronous.keys as async_keys
import evolving_ai.sdk.asynchronous.rollouts as async_rollouts
import evolving_ai.sdk.asynchronous.system as async_system
from evolving_ai.sdk import ChatStream, EvolutionFramework, SyncChatStream, SyncEvolutionFramework

RESOURCES = ("ai", "system", "dna", "rollouts", "keys", "budgets")
SOURCES = (async_ai, async_budgets, async_dna, async_framework, async_keys, async_rollouts, async_system)
RENAMED = {
    "AsyncTransport": "SyncTransport",
    "ChatStream": "SyncChatStream",
    "EvolutionFramework": "SyncEvolutionFramework",
    "aclose": "close",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "__aiter__": "__iter__",
    "__anext__": "__next__",
}


def surface(subject: Any) -> dict[str, inspect.Signature]:
    """What a user can call, with the arguments (what comes back may be another stream)."""
    members = inspect.getmembers(type(subject), inspect.isfunction)
    signatures = {RENAMED.get(name, name): inspect.signature(member) for name, member in members}
    return {
        name: signature.replace(return_annotation=None)
        for name, signature in signatures.items()
        if not name.startswith("_") or name in RENAMED.values()
    }


def test_both_frameworks_have_the_same_calls_with_the_same_arguments() -> None:
    awaited, blocking = EvolutionFramework(), SyncEvolutionFramework()
    assert surface(awaited) == surface(blocking)
    for resource in RESOURCES:
        assert surface(getattr(awaited, resource)) == surface(getattr(blocking, resource))
    attributes = [{name for name in vars(one) if not name.startswith("_")} for one in (awaited, blocking)]
    assert attributes == [set(RESOURCES)] * 2
    blocking.close()


def test_every_call_is_awaited_in_the_one_and_in_the_other_none() -> None:
    awaited, blocking = EvolutionFramework(), SyncEvolutionFramework()
    for resource in (None, *RESOURCES):
        one = awaited if resource is None else getattr(awaited, resource)
        other = blocking if resource is None else getattr(blocking, resource)
        assert all(inspect.iscoroutinefunction(getattr(one, name)) for name in surface(one) if name in vars(type(one)))
        assert not any(inspect.iscoroutinefunction(getattr(other, name)) for name in surface(other))
    blocking.close()


def test_both_streams_have_the_same_surface() -> None:
    def names(kind: type) -> Iterator[str]:
        return (RENAMED.get(name, name) for name in dir(kind) if not name.startswith("_") or name in RENAMED)

    blocking = {name for name in dir(SyncChatStream) if not name.startswith("_") or name in RENAMED.values()}
    assert set(names(ChatStream)) == blocking


class Blocking(ast.NodeTransformer):
    """Asynchronous source as its twin should be; docstrings are left out."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        self.generic_visit(node)
        fields = {name: getattr(node, name) for name in node._fields}
        return ast.FunctionDef(**{**fields, "name": RENAMED.get(node.name, node.name)})

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.name = RENAMED.get(node.name, node.name)
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        return self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = RENAMED.get(node.id, node.id)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.attr = RENAMED.get(node.attr, node.attr)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        node.module = (node.module or "").replace("asynchronous", "synchronous")
        for alias in node.names:
            alias.name = RENAMED.get(alias.name, alias.name)
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        node.value = RENAMED.get(node.value, node.value) if isinstance(node.value, str) else node.value
        return node


def code_of(source: str, *, is_async: bool) -> list[str]:
    """The statements of a module without its own docstring; imports in one order."""
    tree = ast.parse(source)
    tree.body = tree.body[1:]
    if is_async:
        tree = Blocking().visit(tree)
    imports = [ast.dump(node) for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    rest = [ast.dump(node) for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return [*sorted(imports), *rest]


@pytest.mark.parametrize("module", SOURCES, ids=lambda module: module.__name__.rsplit(".", 1)[-1])
def test_the_code_of_a_twin_is_that_of_the_other_without_await(module: ModuleType) -> None:
    path = Path(str(module.__file__))
    twin = path.parents[1] / "synchronous" / path.name
    assert code_of(path.read_text(), is_async=True) == code_of(twin.read_text(), is_async=False)

"""The rules of the house that no other tool checks, as pure functions: source in, violations out.

A violation is a key, `path:what`, that names no line: a list of exceptions holds such keys and stays true when
lines move. `test_rules_can_fail.py` proves of each rule that it finds what it is for.
"""

import ast
import re
from collections.abc import Iterable, Iterator

from tests.architecture.import_time import import_time_calls
from tests.architecture.source import Source

__all__ = [
    "MAX_BODY_LINES",
    "MAX_PORT_METHODS",
    "ambient_reads",
    "broad_excepts",
    "false_exports",
    "forbidden_text",
    "imports_of",
    "large_ports",
    "long_functions",
    "side_effects",
    "vague_names",
]

MAX_BODY_LINES = 35
MAX_PORT_METHODS = 6

_CLOCKS = {
    "time": "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time "
    "gmtime localtime ctime sleep",
    "datetime.datetime": "now utcnow today",
    "datetime.date": "today",
    "uuid": "uuid1 uuid4",
    "os": "urandom getrandom",
}
_AMBIENT = frozenset(f"{module}.{name}" for module, names in _CLOCKS.items() for name in names.split())
_AMBIENT_MODULES = ("random.", "secrets.", "numpy.random.")
_TYPES_OF_CHANCE = frozenset({"numpy.random.Generator", "numpy.random.BitGenerator"})

_VAGUE = re.compile(r"^_*((common|base|utils?|helpers?|managers?|misc)(_.*)?|.*_(utils?|helpers?|managers?|base))$")

_FORBIDDEN = {
    "a path of one machine": re.compile(r"(?:^|[^\w.~-])/(?:work|root|opt/venv|Users/\w+)(?:/|\b)"),
    "the address of a package registry": re.compile(
        r"pypi[.]org|python[h]osted|(?:index|find)[-_](?:url|links)|/[s]imple/"
    ),
    "the number of an issue": re.compile(r"(?i)\b(?:issue|fix(?:es)?|closes|see|pr) [#]\d+"),
}


def ambient_reads(source: Source) -> list[str]:
    """Uses of the clock, of chance and of sleep that did not come in as arguments."""
    return [
        f"{source.path}:{name}"
        for _, name in source.names_used()
        if (name in _AMBIENT or name.startswith(_AMBIENT_MODULES)) and name not in _TYPES_OF_CHANCE
    ]


def long_functions(source: Source) -> list[str]:
    """Functions whose body, without its docstring, has more than MAX_BODY_LINES lines."""
    return [f"{source.path}:{function.name}" for function in source.functions if function.body_lines > MAX_BODY_LINES]


def side_effects(source: Source) -> list[str]:
    """Calls that run when the module is imported, beside pure constructors."""
    return [f"{source.path}:{name}" for name in import_time_calls(source)]


def vague_names(paths: Iterable[str]) -> list[str]:
    """Files and folders whose names say nothing about their content; the package `_common` is the one exception."""
    return [
        path
        for path in paths
        if any(_VAGUE.match(part) for part in path.removesuffix(".py").split("/") if part != "_common")
    ]


def large_ports(source: Source) -> list[str]:
    """Protocols with more than MAX_PORT_METHODS methods."""
    return [
        f"{source.path}:{node.name}"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
        and any(source.dotted(base) == "typing.Protocol" for base in map(_unsubscripted, node.bases))
        and sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body) > MAX_PORT_METHODS
    ]


def false_exports(source: Source) -> list[str]:
    """Names that `__all__` lists and the module lacks, and public functions and classes that it does not list."""
    exported = _exported(source.tree)
    if exported is None:
        return []
    defined = set(_bound_names(source.tree.body))
    public = {
        node.name
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not _is_unexported(node)
    }
    wrong = sorted(
        (set(exported) - defined) | (public - set(exported)) | {n for n in exported if exported.count(n) > 1}
    )
    return [f"{source.path}:{name}" for name in wrong]


def broad_excepts(source: Source) -> list[str]:
    """Functions (or `<module>`) that catch Exception, BaseException or everything and do not raise it again."""
    owners = [(function.name, set(map(id, ast.walk(function.node)))) for function in source.functions]
    return [
        f"{source.path}:" + max((name for name, nodes in owners if id(handler) in nodes), key=len, default="<module>")
        for handler in ast.walk(source.tree)
        if isinstance(handler, ast.ExceptHandler) and _is_broad(source, handler.type) and not _raises_again(handler)
    ]


def imports_of(source: Source, package: str) -> list[str]:
    """Whether the file imports `package`, at its top or inside a function."""
    used = any(name == package or name.startswith(f"{package}.") for name in source.imported.values())
    return [source.path] if used else []


def forbidden_text(path: str, text: str) -> list[str]:
    """What must not stand in any file of the project."""
    return [f"{path}:{what}" for what, pattern in _FORBIDDEN.items() if pattern.search(text)]


def _is_unexported(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Private names, `main`, and what a decorator hands to a table of commands."""
    registered = any(
        ast.unparse(decorator).split("(")[0].endswith((".command", ".callback")) for decorator in node.decorator_list
    )
    return registered or node.name == "main" or node.name.startswith("_")


def _unsubscripted(node: ast.expr) -> ast.expr:
    return node.value if isinstance(node, ast.Subscript) else node


def _is_broad(source: Source, node: ast.expr | None) -> bool:
    if node is None:
        return True
    caught = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(source.dotted(kind) in ("Exception", "BaseException") for kind in caught)


def _raises_again(handler: ast.ExceptHandler) -> bool:
    last = handler.body[-1]
    return isinstance(last, ast.Raise) and last.exc is None


def _exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            value: list[str] = ast.literal_eval(node.value)
            return value
    return None


def _bound_names(body: Iterable[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            yield from (name.id for name in ast.walk(node) if isinstance(name, ast.Name))
        elif isinstance(node, ast.If | ast.Try):
            yield from _bound_names([*node.body, *node.orelse])

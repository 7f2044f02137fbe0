"""What a module runs when it is imported: everything outside function bodies.

Allowed are constructors that only store (listed by name, or classes of the project, whose constructors store by the
rule of the house), methods of literals, and decorators that register a command in `cli/`.
"""

import ast
from collections.abc import Iterator

from tests.architecture.source import Source

__all__ = ["import_time_calls"]

_PURE_BY_MODULE = {
    "": "bool bytes dict float frozenset int len list max min property range round set sorted str sum tuple zip",
    "collections.": "namedtuple",
    "contextlib.": "asynccontextmanager contextmanager",
    "dataclasses.": "dataclass field",
    "datetime.": "datetime timedelta",
    "decimal.": "Decimal",
    "enum.": "Enum auto",
    "functools.": "cache lru_cache partial total_ordering wraps",
    "logging.": "getLogger",
    "math.": "log log2 sqrt",
    "numpy.": "dtype float32 float64 int32 int64 uint32 uint64",
    "pathlib.": "Path",
    "pydantic.": "AfterValidator BeforeValidator ConfigDict Discriminator Field StringConstraints Tag TypeAdapter "
    "field_validator model_validator",
    "ray.": "remote serve.deployment serve.ingress",
    "re.": "compile",
    "struct.": "Struct",
    "typer.": "Argument Option Typer",
    "types.": "MappingProxyType",
    "typing.": "NewType ParamSpec TypeVar TypeVarTuple cast",
}
_PURE = frozenset(module + name for module, names in _PURE_BY_MODULE.items() for name in names.split())
_COMMANDS = frozenset({"add_typer", "callback", "command"})


def import_time_calls(source: Source) -> Iterator[str]:
    """The names of the calls, as written, that importing the module would make and that are not allowed."""
    classes = {node.name for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)}
    for node in _executed(source.tree.body):
        if isinstance(node, ast.Call) and not _is_allowed(source, node.func, classes):
            yield ast.unparse(node.func)


def _is_allowed(source: Source, function: ast.expr, classes: set[str]) -> bool:
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Constant | ast.JoinedStr):
        return True  # "a b".split()
    name = source.dotted(function)
    if name is None:
        # `_TABLE.items()` and the like on something just built: judged by what it was built with
        return isinstance(function, ast.Attribute) and function.attr in ("items", "keys", "values")
    if name in _PURE or name.endswith((".items", ".keys", ".values")):
        return True
    if source.path.startswith("evolving_ai/cli/") and name.rsplit(".", 1)[-1] in (*_COMMANDS, "new_app"):
        return True
    if name.startswith("evolving_ai."):
        return any(part[:1].isupper() for part in name.split("."))
    return name.split(".")[0] in classes


def _executed(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Every node below the statements that is evaluated when they run, function bodies excepted."""
    pending: list[ast.AST] = list(body)
    while pending:
        node = pending.pop(0)
        yield node
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += [*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)]
        elif isinstance(node, ast.If) and _is_guard(node.test):
            pending += node.orelse
        elif not isinstance(node, ast.Lambda):
            pending += ast.iter_child_nodes(node)


def _is_guard(test: ast.expr) -> bool:
    """`if __name__ == "__main__"` and `if TYPE_CHECKING` do not run on import."""
    return "__name__" in ast.unparse(test) or ast.unparse(test).endswith("TYPE_CHECKING")

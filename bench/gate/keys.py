"""Content keys: two pieces of work with the same key would give the same figures, up to noise.

A key covers the code that runs (an implementation's module and, found without importing anything, every
module that it imports from the side's folders), the engine's code for that suite, options, made-up or real
work, seed, and the whole environment with all installed packages. Of Python code what counts is its syntax
tree without docstrings: comments, layout and documentation change nothing. Files that are not Python count
by their bytes.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import wire
from bench.gate.sides import Side
from bench.loading import LoadError, is_file_target, split_target
from bench.schema import Arm, Claims, Job, Step

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+(:[A-Za-z_][\w.]*)?\Z")
_IMPORTERS = ("import_module", "__import__")
_CODE_SUFFIXES = (".py", ".pyc", ".pyi")
# Suites whose rows depend on what is called alone; every other exports, checks or trains too.
PLAIN = ("throughput", "memory", "energy")
WORKER = "bench.worker"
TURNS = "suites.turns:measure"
TIMED_BY = (TURNS, "bench.gate.conductor", "bench.gate.timing")


def digest(*parts: bytes) -> str:
    """One hash of all the parts, each with its length, so that their borders count."""
    found = hashlib.sha256()
    for part in parts:
        found.update(len(part).to_bytes(8, "big") + part)
    return found.hexdigest()


class Sources:
    """The code under some folders of a search path, read and never run.

    A module that imports by a computed name could import anything: with `wary`, all of its package counts.
    """

    def __init__(self, roots: Sequence[str], *, wary: bool = True) -> None:
        self._roots = tuple(map(Path, roots))
        self._wary = wary

    def key(self, targets: Iterable[str]) -> str:
        """Hash of all that the targets (``module:Name``, ``file.py:name`` or a module) stand on here."""
        return self._key(tuple(targets))

    @functools.cache  # noqa: B019  one gate's lifetime
    def _key(self, targets: tuple[str, ...]) -> str:
        return digest(
            *(part for name, path in self.closure(targets) for part in (name.encode(), self._content(path)))
        )

    def closure(self, targets: Iterable[str]) -> list[tuple[str, Path]]:
        """Every file that the targets stand on, by a name that is the same on every side, sorted."""
        found: dict[str, Path] = {}
        waiting = [module for target in targets if target for module in self._of_target(target, found)]
        seen = set(waiting)
        while waiting:
            module = waiting.pop()
            found.update(self._files(module))
            for needed in self._needed(module):
                if needed not in seen:
                    seen.add(needed)
                    waiting.append(needed)
        return sorted(found.items())

    def _of_target(self, target: str, found: dict[str, Path]) -> list[str]:
        """Modules to begin with; a user's file is noted at once, and what it imports is begun with."""
        try:
            place, _ = split_target(target)
        except LoadError:
            return self._known([target])
        if not is_file_target(target):
            return self._known([place])
        file = Path(place)
        if not file.is_file():
            return []
        found[f"file {file.name}"] = file
        beside = Sources((str(file.parent), *map(str, self._roots)), wary=self._wary)
        for name, path in beside.closure(_imported(_tree(file), "")):
            found[f"beside {name}" if path.is_relative_to(file.parent) else name] = path
        return []

    def _known(self, modules: Iterable[str]) -> list[str]:
        return [module for module in modules if self.place(module) is not None]

    @functools.cache  # noqa: B019  one gate's lifetime
    def place(self, module: str) -> Path | None:
        """The file of a module under the roots; of a package ``__init__.py``, or else its folder."""
        parts = module.split(".")
        for root in self._roots:
            path = root.joinpath(*parts)
            if (path / "__init__.py").is_file():
                return path / "__init__.py"
            if path.with_suffix(".py").is_file():
                return path.with_suffix(".py")
            compiled = sorted(path.parent.glob(f"{path.name}.*.so")) if path.parent.is_dir() else []
            if compiled:
                return compiled[0]
            if path.is_dir() and len(parts) > 1:
                return path
            if (root / parts[0]).is_dir() and (root / parts[0] / "__init__.py").is_file():
                # A regular package is taken from the first folder that has it, whole.
                return None
        return None

    def _files(self, module: str) -> Iterator[tuple[str, Path]]:
        """The module's file, and what lies beside it that is not Python."""
        path = self.place(module)
        if path is None or path.is_dir():
            return
        yield module, path
        if path.name != "__init__.py":
            return
        for data in sorted(path.parent.rglob("*")):
            if data.is_file() and data.suffix not in _CODE_SUFFIXES and "__pycache__" not in data.parts:
                yield f"{module} {data.relative_to(path.parent)}", data

    @functools.cache  # noqa: B019
    def _needed(self, module: str) -> tuple[str, ...]:
        """`_needs`, worked out once: the same modules stand under every variant."""
        return tuple(self._needs(module))

    def _needs(self, module: str) -> Iterator[str]:
        """The modules under the roots that this one needs: its parents and whatever it imports or names."""
        parts = module.split(".")
        yield from self._known(".".join(parts[:end]) for end in range(1, len(parts)))
        path = self.place(module)
        if path is None or path.suffix != ".py":
            return
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        tree = _tree(path)
        yield from self._known(_imported(tree, package))
        if self._wary and _imports_by_name(tree):
            yield from self._all_of(parts[0])

    def _all_of(self, top: str) -> Iterator[str]:
        path = self.place(top)
        if path is None or path.name != "__init__.py":
            return
        for file in sorted(path.parent.rglob("*.py")):
            parts = file.relative_to(path.parent.parent).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @functools.cache  # noqa: B019
    def _content(self, path: Path) -> bytes:
        return meaning(path.read_bytes()) if path.suffix == ".py" else path.read_bytes()


def meaning(source: bytes) -> bytes:
    """Python code without comments, layout and docstrings; as it is where it cannot be parsed, or reads its
    own documentation."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return source
    if b"__doc__" not in source and b"getsource" not in source:
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                _drop_docstring(node)
    return ast.dump(tree).encode()


def _drop_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    value = first.value if isinstance(first, ast.Expr) else None
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        node.body = node.body[1:]


@functools.lru_cache(maxsize=4096)
def _tree(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    """All modules that the code imports, and dotted names in its texts, which may be targets."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, (*above, node.module)))
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _DOTTED.match(node.value):
            yield node.value.partition(":")[0]


def _imports_by_name(tree: ast.Module) -> bool:
    """Whether something is imported by a name that is not written out."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in _IMPORTERS and not (node.args and isinstance(node.args[0], ast.Constant)):
                return True
    return False


class Keys:
    """Content keys of the work on one side."""

    def __init__(self, side: Side) -> None:
        self._code = Sources(side.folders)
        self._engine = Sources((side.engine,), wary=False)
        self._environment = wire.encode([side.told.environment.id, sorted(side.told.installed.items())])

    def of(self, job: Job, step: Step, arm: Arm) -> str:
        """The key of one arm's work in a step."""
        plain = job.suite in PLAIN
        beside = [arm.target, *_built_with(step, plain=plain)]
        if not plain:
            reference = step.reference.target if step.reference else ""
            beside += [arm.twin, arm.claims.definition, step.torch_architecture, reference]
        engine = [WORKER, job.target, job.opener, *(TIMED_BY if job.suite == "throughput" else ())]
        if step.task:
            tasks = [step.task.target, step.task.evaluator]
            engine += tasks
            # A user's package brings tasks of its own, which live on the side.
            beside += [target for target in tasks if target and not self._engine.closure([target])]
        return digest(
            self._code.key(beside).encode(),
            self._engine.key(engine).encode(),
            self._environment,
            wire.encode(_asked(job, step, arm, plain=plain)),
        )


def _built_with(step: Step, *, plain: bool) -> Iterator[str]:
    """Targets of the model around an attention, and modules of its package that the work calls."""
    yield step.architecture
    work = step.workload
    used: tuple[str, ...] = ("weights", "checkpointing", "generation")
    if plain and work is not None:
        wanted = {"checkpointing": work.checkpointing, "generation": work.phase == "generate"}
        used = tuple(name for name, needed in wanted.items() if needed)
    yield from (f"{step.package}.{name}" for name in used if step.package)


def _asked(job: Job, step: Step, arm: Arm, *, plain: bool) -> Any:
    """All of a job that its figures depend on, without the code, the run and the place."""
    bare = replace(arm, target="", twin="", claims=Claims()) if plain else replace(arm, target="")
    reference = replace(step.reference, target="") if step.reference else None
    alone = replace(
        step, arms=(bare,), reference=reference, architecture="", package="", torch_architecture=""
    )
    asked = (job.suite, job.framework, job.device, job.threads, dict(sorted(job.environment.items())))
    return wire.plain((asked, alone))

"""Calls the Python function of a pipeline task.

The only argument is a JSON file that says which function of which file to call, and with what. What the function
returns goes to the `result` file; of a mapped task, a line for each item goes to the `done` file as soon as the item
has ended, so that nothing that was done is lost when this process is.
"""

import sys

# Without a folder of the project: a step called json.py must not take the place of Python's own.
sys.path[:] = [entry for entry in sys.path if entry]

import asyncio
import copy
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import json
import os
import pathlib
import re
import traceback
import types


def raw(text):
    """A path as the system has it: bytes that are no text come as backslash, x and two digits."""
    pattern = rb"\\(?:x([0-9a-f]{2})|\\)"
    return os.fsdecode(re.sub(pattern, lambda m: bytes.fromhex(m[1].decode()) if m[1] else b"\\", text.encode()))


class PipelineConfig(types.SimpleNamespace):
    """What a function that takes `pipeline_config` is given."""


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Provides `kptn.util.pipeline_config` where the package is not installed: steps import it for annotations."""

    names = {
        package + tail
        for package in ("kptn", "kapten")
        for tail in ("", ".util", ".util.pipeline_config")
    }

    def find_spec(self, name, path=None, target=None):
        if name not in self.names:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=not name.endswith("pipeline_config"))

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        if module.__name__.endswith("pipeline_config"):
            module.PipelineConfig = PipelineConfig


def trust_settled_bytecode_alone():
    """Passes over a module's compiled form that was written within the second of the source's last change.

    Python compares times by the second, and sizes: a source that is changed again in that second, to the same size,
    would run as it was before.
    """
    ask = importlib.machinery.SourceFileLoader.path_stats

    def path_stats(self, path):
        found = ask(self, path)
        try:
            compiled = os.stat(importlib.util.cache_from_source(path)).st_mtime
        except (OSError, NotImplementedError):
            return found
        if compiled < int(found["mtime"]) + 1:
            raise OSError("the compiled form is not settled")
        return found

    importlib.machinery.SourceFileLoader.path_stats = path_stats


def load(file, root):
    """The module of a file, under the name that an import from the root would give it."""
    sys.path[:] = [entry for entry in sys.path if entry not in ("", root)]
    sys.path.insert(0, root)
    sys.meta_path.append(StandIns())
    path = pathlib.Path(file)
    folder = str(path.parent)
    if folder not in sys.path:
        sys.path.insert(1, folder)
    try:
        parts = path.relative_to(root).with_suffix("").parts
    except ValueError:
        parts = (path.stem,)
    name = ".".join(parts)
    if len(parts) > 1:
        try:
            importlib.import_module(".".join(parts[:-1]))
        except ImportError:
            name = path.stem
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        fail(f"'{file}' is no Python module; declare a .py file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def expects_path(annotation):
    """Whether a parameter is annotated as a path, also as `Path | None`, and also where annotations are text."""
    if annotation is pathlib.Path or annotation in ("Path", "pathlib.Path"):
        return True
    return any(part is pathlib.Path for part in getattr(annotation, "__args__", ()))


def keywords(function, call, values):
    """The arguments for one call: constants, data of upstream tasks, the item, and what the configuration has."""
    parameters = inspect.signature(function).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    # Copies: what a function changes in its arguments must not reach the next item.
    call = {**call, **{name: copy.deepcopy(call[name]) for name in ("config", "arguments", "data")}}
    settings = PipelineConfig(**{**call["config"], **call["context"]})
    # Data that the function does not ask for is no mistake: the dependency may be for its order alone.
    given = {name: value for name, value in call["data"].items() if takes_any or name in parameters}
    given.update(call["arguments"])
    given.update(values)
    for name, parameter in parameters.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or name in given:
            continue
        if name in ("pipeline_config", "runtime_config"):
            given[name] = settings
        elif hasattr(settings, name):
            given[name] = getattr(settings, name)
    for name, value in given.items():
        if isinstance(value, str) and name in parameters and expects_path(parameters[name].annotation):
            given[name] = pathlib.Path(value)
    positional = []
    for name, parameter in parameters.items():
        if parameter.kind is parameter.POSITIONAL_ONLY and name in given:
            positional.append(given.pop(name))
    return positional, given


def run(function, positional, given):
    """Calls it, and sees it through where it is a coroutine."""
    result = function(*positional, **given)
    if inspect.iscoroutine(result):
        return asyncio.run(result)
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise TypeError(f"'{function.__name__}' is a generator, which does nothing by itself; return a list")
    return result


def as_json(value, task):
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        text.encode("utf-8")
        return text
    except (TypeError, ValueError) as error:
        raise TypeError(f"task '{task}' returned {type(value).__name__}, which is not JSON: {error}") from None


def run_items(function, call):
    """Each item by itself: one that fails stops no other."""
    failed = False
    with open(call["done"], "a", encoding="utf-8") as done:
        for item in call["items"]:
            line = {"key": item["key"], "status": "done"}
            try:
                positional, given = keywords(function, call, item["values"])
                result = run(function, positional, given)
                if call["keeps_data"]:
                    line["data"] = json.loads(as_json(result, call["task"]))
            except KeyboardInterrupt:
                raise
            except SystemExit as error:
                if error.code not in (None, 0):
                    line.update(status="failed", error=f"exit {error.code}")
            except BaseException as error:
                traceback.print_exc()
                text = f"{type(error).__name__}: {error}"[:500]
                line.update(status="failed", error=text.encode("utf-8", "backslashreplace").decode("utf-8"))
            failed = failed or line["status"] == "failed"
            sys.stdout.flush()
            sys.stderr.flush()
            done.write(json.dumps(line, ensure_ascii=False) + "\n")
            done.flush()
    return failed


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        call = json.load(file)
    for name in ("root", "file", "result", "done"):
        call[name] = raw(call[name]) if call[name] is not None else None
    call["context"]["scratch_dir"] = raw(call["context"]["scratch_dir"])
    sys.argv[:] = [call["file"]]
    trust_settled_bytecode_alone()
    module = load(call["file"], call["root"])
    function = getattr(module, call["function"], None)
    if function is None:
        fail(f"'{call['file']}' has no function '{call['function']}'; define it, or name another as 'file: FILE:FUNCTION'")
    if call["items"] is not None:
        sys.exit(1 if run_items(function, call) else 0)
    positional, given = keywords(function, call, {})
    result = run(function, positional, given)
    if call["keeps_data"]:
        text = as_json(result, call["task"])
        with open(call["result"], "w", encoding="utf-8") as file:
            file.write(text)


try:
    main()
except KeyboardInterrupt:
    # Whoever pressed the key knows where.
    sys.exit(130)

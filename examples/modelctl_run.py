"""Writes a run file for `modelctl push --training-run` from a training job.

No dependencies: copy it beside the training script. One call at the end of the job is enough:

    import modelctl_run
    modelctl_run.write("run.toml", type="fine-tune", data=["data/reviews"],
                       base=["registry.example.com/acme/bert:v1"], parameters=vars(args),
                       evaluation={"sst2": {"accuracy": 0.931}})

or around it, which also writes down when it began and ended, and nothing if it failed:

    with modelctl_run.Run("run.toml", type="fine-tune", data=["data/reviews"]) as run:
        train(args)
        run.parameters.update(vars(args))
        run.evaluate("sst2", {"accuracy": 0.931}, minimum={"accuracy": 0.92})

What is left out here (git, CI, Python, GPUs) is collected by modelctl itself.
"""

import datetime
import json
import math
import os
import pathlib

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


class Run:
    """A run on its way into a file."""

    def __init__(self, path="run.toml", *, type, data=(), base=(), parameters=None, **run):
        """`data` and `base` are paths and references, or tables as run.toml has them; the rest
        are fields of its table `[run]`."""
        self._path = pathlib.Path(path)
        self._run = {"type": type, **run}
        self._data = [d if isinstance(d, dict) else {"path": os.fspath(d)} for d in data]
        self._base = [b if isinstance(b, dict) else {"reference": b} for b in base]
        self._evaluation = []
        self.parameters = dict(parameters or {})
        self.environment = {}
        self.model = {}

    def evaluate(self, name, metrics, *, minimum=None, maximum=None, result=None, **more):
        """Adds an evaluation: it passed if every threshold is met, or as `result` says. Without
        either it counts as `warned`: figures that nobody judged."""
        thresholds = {}
        for bound, values in (("min", minimum), ("max", maximum)):
            for metric, value in (values or {}).items():
                thresholds.setdefault(metric, {})[bound] = value
        if not thresholds and result is None:
            result = "warned"
        table = {"name": name, "result": result, **more}
        table["metrics"] = {key: float(value) for key, value in metrics.items()}
        if thresholds:
            table["thresholds"] = thresholds
        self._evaluation.append(table)

    def write(self):
        """Writes the file: whole, or not at all."""
        document = {
            "schema": 1,
            "run": self._run,
            "model": self.model,
            "environment": self.environment,
            "parameters": _plain(self.parameters),
            "data": self._data,
            "base": self._base,
            "evaluation": self._evaluation,
        }
        text = "".join(_document(document))
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, self._path)

    def __enter__(self):
        self._run.setdefault("started", _now())
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self._run.setdefault("finished", _now())
            self.write()


def write(path="run.toml", *, evaluation=None, **run):
    """Writes the file in one call; `evaluation` is figures by test."""
    found = Run(path, **run)
    for name, metrics in (evaluation or {}).items():
        found.evaluate(name, metrics)
    found.write()


def _now():
    return datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)


def _plain(value):
    """Returns a parameter as TOML can hold it; what nobody set is left out."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, (list, tuple, set, frozenset)):
        values = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
        return [_plain(v) for v in values if v is not None]
    if isinstance(value, (bool, int, str, datetime.datetime)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)


def _document(document):
    for name, value in document.items():
        if isinstance(value, list):
            for table in value:
                yield f"\n[[{name}]]\n"
                yield from _fields(table)
        elif isinstance(value, dict):
            if value:
                yield f"\n[{name}]\n"
                yield from _fields(value)
        else:
            yield f"{_key(name)} = {_value(value)}\n"


def _fields(table):
    for name, value in table.items():
        if value is not None:
            yield f"{_key(name)} = {_value(value)}\n"


def _key(name):
    return name if name and _BARE.issuperset(name) else _string(name)


def _string(text):
    # JSON's escapes are TOML's, but for the one control character that JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _value(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, datetime.datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, (int, float)):
        # Numbers of numpy are these too, and say their type when they are asked for themselves.
        return repr(float(value) if isinstance(value, float) else int(value))
    if isinstance(value, dict):
        inner = (f"{_key(k)} = {_value(v)}" for k, v in value.items() if v is not None)
        return "{ " + ", ".join(inner) + " }"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_value(v) for v in value) + "]"
    return _string(os.fspath(value) if isinstance(value, os.PathLike) else str(value))

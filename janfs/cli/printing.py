"""How the commands print what they found."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from janfs.terminal import visible

_UNITS = ("B", "kB", "MB", "GB", "TB")
_LONGEST_VALUE = 160  # characters of one value in a history line
_HASH = re.compile(r"[0-9a-f]{64}")  # a SHA-256
_DIGITS = 12  # of a SHA-256 in a history line
_LINKS = {"first": "because", "because": "because", "before": "and before that,"}


def as_json(value: Any) -> str:
    """A value as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(value)).decode()


def as_json_line(value: Any) -> str:
    """A value as JSON on one line."""
    return msgspec.json.encode(value).decode()


def table(models: Sequence[Mapping[str, Any]], *, past: bool = False) -> str:
    """Models as aligned columns, with the reason where there is one."""
    if not models:
        return "No models then." if past else "No models yet. Drop a .gguf file into the models folder."
    rows = [("ID", "STATUS", "STATE", "SIZE", "")]
    rows += [
        (model["id"], _status(model), model["state"], size(model["size"]), _remark(model)) for model in models
    ]
    return aligned(rows)


def origins(config: Mapping[str, Any]) -> str:
    """The settings of a model as aligned columns, with where each comes from."""
    rows = [
        (name, _plain(setting["value"]), _origin(setting["origin"]))
        for block in ("engine_parameters", "model_parameters")
        for name, setting in config[block].items()
    ]
    return f"engine: {config['engine']}\n" + aligned([("SETTING", "VALUE", "FROM"), *rows])


def reasons(why: Mapping[str, Any]) -> str:
    """Why something is as it is: a line for each cause, and before them what the log does not know."""
    lines = [
        f"{why['subject']} is as it is",
        *(f"  {_LINKS[each['link']]} {each['words']} (#{each['position']})" for each in why["reasons"]),
    ]
    said = [why["unsettled"], *(lines if why["reasons"] else [])] if why["unsettled"] else lines
    return "\n".join(map(visible, said))


def problems(engines: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with the engines' files, a line each."""
    return [
        visible(f"engine {engine['id']}: {problem['reason']}")
        for engine in engines
        for problem in engine["problems"]
    ]


def details(model: Mapping[str, Any]) -> str:
    """One model, a line for each field; blocks of settings a line for each setting."""
    lines = []
    for key, value in model.items():
        if isinstance(value, dict) and value:
            lines.append(f"{key}:")
            lines += [f"  {name}: {_plain(part)}" for name, part in value.items()]
        elif key == "size":
            lines.append(f"size: {size(value)} ({value:,} bytes)")
        else:
            lines.append(f"{key}: {_plain(value)}")
    return "\n".join(map(visible, lines))


def event_line(event: Mapping[str, Any]) -> str:
    """One event on one line: position, time, type, who, after what, and the short parts of its data.

    What was noted about it follows, a line each.
    """
    cause = f" after {event['cause']}" if event["cause"] is not None else ""
    facts = " ".join(_short(event["data"]))
    when = event["recorded_at"][:19].replace("T", " ")
    line = f"{event['position']:>6}  {when}  {event['type']:<17} {event['actor']}{cause}  {facts}".rstrip()
    return "\n".join(map(visible, [line, *(f"        {note}" for note in event["data"].get("notes", ()))]))


def size(count: int) -> str:
    """Bytes for people: `98.4 MB`."""
    amount = float(count)
    for unit in _UNITS:
        if amount < 1000 or unit == _UNITS[-1]:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def aligned(rows: Sequence[tuple[str, ...]]) -> str:
    """Rows as columns; the last one may be of any width."""
    rows = [tuple(map(visible, row)) for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return "\n".join(
        "  ".join((*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1])).rstrip()
        for row in rows
    )


def _origin(origin: Mapping[str, Any]) -> str:
    """A layer, and the place in words: `user (models/x/model.json, line 4)`."""
    places = [origin["file"]] if "file" in origin else []
    places += [f"line {origin['line']}"] if "line" in origin else []
    places += ["null there"] if places and origin["kind"] == "built-in" else []
    places += [f"header {origin['header']}"] if "header" in origin else []
    return f"{origin['kind']} ({', '.join(places)})" if places else str(origin["kind"])


def _status(model: Mapping[str, Any]) -> str:
    progress = model.get("progress")
    return model["status"] if progress is None else f"{model['status']} {progress:.0f} %"


def _remark(model: Mapping[str, Any]) -> str:
    original = model.get("duplicate_of")
    same = f"The same content as {original}; `janfs dedupe` lets them share it." if original else None
    return " ".join(filter(None, [model.get("reason"), model.get("state_reason"), same]))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else as_json_line(value)


def _short(data: Mapping[str, Any]) -> list[str]:
    """The parts of an event's data that fit a line; `janfs history --json` has them all."""
    parts = [f"{data['source']} -> {data['target']}"] if "source" in data and "target" in data else []
    for key, value in data.items():
        if key in ("op", "source", "target") or not isinstance(value, str | int | float):
            continue
        text = f"{value:.3g}" if isinstance(value, float) else str(value)
        if _HASH.fullmatch(text):
            text = text[:_DIGITS]
        if len(text) <= _LONGEST_VALUE:
            parts.append(f"{key}={text}")
    return parts

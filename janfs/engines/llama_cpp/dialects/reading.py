"""What a text, whole or still being written, says: words, thoughts and calls of tools. Pure.

Each time the whole text is read anew. What was read of a beginning is never taken back by what follows: what
could still turn out to be something else is left for later.
"""

import re
from collections.abc import Callable, Iterator
from types import MappingProxyType
from typing import NamedTuple

from janfs.engines.llama_cpp.dialects.marks import Marks
from janfs.engines.llama_cpp.dialects.tagged import UNMARKED, TextArguments, tagged_call, unmarked_call
from janfs.engines.llama_cpp.dialects.values import end_of, escaped, string


class Call(NamedTuple):
    """A call of a tool; `arguments` is the JSON text of them, as far as it is there."""

    name: str
    arguments: str

    @property
    def whole(self) -> bool:
        """Whether the arguments are there to their end."""
        return end_of(self.arguments, 0) is not None


class Said(NamedTuple):
    """What an answer says."""

    content: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()


Reader = Callable[[str, bool], Said]
"""Reads a text; True if it is whole."""

_NAME = re.compile(r'"(?:name|function)"\s*:\s*("(?:[^"\\]|\\.)*")')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters|args)"\s*:\s*')
_FENCE = re.compile(r"\s*```(?:json)?\s*(?=\{)")  # DeepSeek puts arguments into a fenced block
_TOOL_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,128}")


def reader(
    marks: Marks, *, tools: bool, thinking: bool, texts: TextArguments = MappingProxyType({})
) -> Reader:
    """How to read answers of a family; `thinking` if the prompt began a thought; calls only with tools.

    Of those, `texts` has each tool, and says which arguments are plain text where they stand in tags.
    """

    def read(text: str, final: bool) -> Said:
        reasoning, rest = _thought(text, marks, thinking=thinking, final=final)
        if rest is None:
            return Said(reasoning=reasoning)
        content, calls = _words_and_calls(rest, marks, final, texts) if tools else (rest, ())
        return Said(content, reasoning, calls)

    return read


def one_call(read: Reader) -> Reader:
    """The same for who wants one call at most: what is called after the first is left out."""

    def read_one(text: str, final: bool) -> Said:
        said = read(text, final)
        return said._replace(calls=said.calls[:1])

    return read_one


def only_calls(read: Reader) -> Reader:
    """The same for an answer that must call: what reads as words is the head of a call that was cut off."""
    return lambda text, final: read(text, final)._replace(content="")


def behind_thought(text: str, marks: Marks, *, thinking: bool) -> str | None:
    """What a text says after its thought; None if it is one to its end. `thinking` if it began with one."""
    return _thought(text, marks, thinking=thinking, final=True)[1]


def _thought(text: str, marks: Marks, *, thinking: bool, final: bool) -> tuple[str, str | None]:
    """The thought at the beginning of a text and what follows it; None while that has not begun."""
    beginning, end = marks.thought
    if not thinking:
        begins = text.lstrip()
        if not begins.startswith(beginning):
            undecided = not final and beginning.startswith(begins)
            return "", None if undecided else text
        text = begins[len(beginning) :]
    thought, ended, rest = text.partition(end)
    if not ended:
        return (thought if final else without_beginning(thought, (end,)).rstrip()).lstrip(), None
    return thought.strip(), rest.lstrip()


def _words_and_calls(
    text: str, marks: Marks, final: bool, texts: TextArguments
) -> tuple[str, tuple[Call, ...]]:
    if marks.bare_json and text.lstrip().startswith("{"):
        call, _ = _object(text, len(text) - len(text.lstrip()))
        if call is not None and (call.name in texts or _ARGUMENTS.search(text)):
            return "", (call,)
        return (text, ()) if final else ("", ())
    first = _next(text, 0, marks, texts)
    around = text.find(marks.around[0]) if marks.around[0] else -1
    start = min((at for at in (around, first) if at >= 0), default=-1)
    if start < 0:
        openings = (marks.around[0], marks.call, UNMARKED if marks.unmarked else "")
        return (text if final else without_beginning(text, openings).rstrip(), ())
    calls = tuple(_calls(text, first, marks, texts))
    if not calls and final:
        return text, ()  # it looked like a call, and is none
    return text[:start].rstrip(), calls


def _next(text: str, start: int, marks: Marks, texts: TextArguments) -> int:
    """Where the next call begins, or may begin; -1 where none does."""
    found = (
        text.find(marks.call, start),
        unmarked_call(text, start, texts) if marks.unmarked else -1,
    )
    return min((at for at in found if at >= 0), default=-1)


def _calls(text: str, start: int, marks: Marks, texts: TextArguments) -> Iterator[Call]:
    while start >= 0:
        at = _skip(text, start + len(marks.call) * text.startswith(marks.call, start))
        if text[at : at + 1] in ("{", "["):
            at = at + 1 if text[at] == "[" else at
            while True:
                call, end = _object(text, at)
                if call is not None:
                    yield call
                at = _skip(text, end) if end is not None else len(text)
                if text[at : at + 1] not in (",", "{"):
                    break
                at += text[at] == ","
        elif marks.separator:
            call, end = _headed(text, at, marks)
            if call is not None:
                yield call
        elif (tagged := tagged_call(text, at, texts)) is not None:
            yield Call(tagged.name, tagged.arguments)
            end = tagged.end
        else:
            return
        start = _next(text, end, marks, texts) if end is not None else -1


def _object(text: str, start: int) -> tuple[Call | None, int | None]:
    """The call that a JSON object is, as far as it is there, and where it ends; None while it does not."""
    start = _skip(text, start)
    if text[start : start + 1] != "{":
        return None, None
    arguments = _ARGUMENTS.search(text, start)
    end = end_of(text if arguments is None else text[: arguments.start()], start)
    if arguments is None or end is not None:
        name = _NAME.search(text, start, len(text) if end is None else end)
        return (Call(string(name[1]), "{}") if name is not None and end is not None else None), end
    name = _NAME.search(text, start, arguments.start())
    closed = end_of(text, arguments.end())
    end = None if closed is None else end_of(text, start)  # while they are written, that is all to look at
    if closed is not None and text[_skip(text, closed) :][:1] not in ("", ",", "}"):
        end = closed  # the bracket behind them was forgotten
    if name is None and closed is not None:
        name = _NAME.search(text, closed, len(text) if end is None else end)
    if name is None:
        return None, end
    return Call(string(name[1]), _arguments(text, arguments.end(), closed)), end


def _headed(text: str, start: int, marks: Marks) -> tuple[Call | None, int | None]:
    """A call that is a name, the separator and the arguments; behind the prefix a fence separates them."""
    if marks.prefix and text.startswith(marks.prefix, start):
        start += len(marks.prefix)
        stop, at = _span(_FENCE.search(text, start))
    else:
        stop = text.find(marks.separator, start)
        at = stop + len(marks.separator)
        at = max(at, _span(_FENCE.match(text, at))[1])
    name = text[start:stop] if stop >= 0 else ""
    name = (name.partition(marks.call_id)[0] if marks.call_id else name).strip()
    at = _skip(text, at)
    if not _TOOL_NAME.fullmatch(name) or text[at : at + 1] in ("", "`"):
        return None, None
    closed = end_of(text, at)
    return Call(name, _arguments(text, at, closed)), closed


def _span(found: re.Match[str] | None) -> tuple[int, int]:
    return (-1, -1) if found is None else found.span()


def _arguments(text: str, start: int, end: int | None) -> str:
    """The arguments' own text; where they are a text that holds JSON, what is in it."""
    raw = text[start:end]
    if end is None:
        return escaped(raw.rstrip()) if raw.startswith(("{", "[")) else ""
    said = string(raw) if raw.startswith('"') else raw
    return "{}" if said.strip() in ("", "null") else escaped(said)


def _skip(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n":
        at += 1
    return at


def without_beginning(text: str, marks: tuple[str, ...]) -> str:
    """The text without an end that could be the beginning of a mark."""
    most = max((_overlap(text, mark) for mark in marks if mark), default=0)
    return text[: len(text) - most]


def _overlap(text: str, mark: str) -> int:
    return next((n for n in range(min(len(text), len(mark) - 1), 0, -1) if text.endswith(mark[:n])), 0)

"""OpenAI's harmony format, in which gpt-oss writes: messages on channels. Pure.

Format: https://cookbook.openai.com/articles/openai-harmony
"""

import re

from janfs.engines.llama_cpp.dialects.reading import Call, Said, without_beginning
from janfs.engines.llama_cpp.dialects.values import escaped

SPECIAL = ("<|channel|>", "<|message|>", "<|constrain|>", "<|start|>", "<|end|>", "<|call|>", "<|return|>")
THOUGHT = "<|channel|>analysis", "<|end|>"  # what it stands between
_NEXT = "<|end|><|start|>assistant"  # what leads from a message to the next
_FINAL = "<|channel|>final<|message|>"
ANSWER = _NEXT + _FINAL  # what leads from a thought to the answer
_HEADS = ("<|", "to=")  # of a message behind its role: a channel, or whom it is for
_MESSAGE = re.compile(
    r"(?P<header>(?:(?!<\|message\|>)(?s:.))*)<\|message\|>(?P<body>(?s:.)*?)"
    r"(?:<\|(?P<end>end|call|return)\|>|\Z)"
)
_TO = re.compile(r"to=(?:functions\.)?([A-Za-z0-9_.-]+)")


def read(text: str, final: bool) -> Said:
    """What an answer says: its analysis is a thought, what goes to a function a call, the rest are words."""
    begins = text.lstrip()
    if not final and any(head.startswith(begins) for head in _HEADS):
        return Said()
    if not begins.startswith(_HEADS) or (final and "<|message|>" not in text):
        return Said() if begins.startswith("<|channel|>") else Said(content=text)  # cut off in its head
    content, reasoning = [], []
    calls: list[Call] = []
    for message in _MESSAGE.finditer(text):
        header, body = message["header"], message["body"]
        if message["end"] is None and not final:
            body = without_beginning(body, ("<|end|>", "<|call|>", "<|return|>"))
        called = _TO.search(header)
        if called is not None:
            calls.append(Call(called[1], escaped(body.strip()) or ("{}" if final or message["end"] else "")))
        elif "analysis" in header:
            reasoning.append(body)
        else:
            content.append(body)
    return Said("".join(content), "\n".join(reasoning), tuple(calls))


def written(thought: str | None, words: str) -> str:
    """The beginning of an answer. Words that say themselves on which channel they are stay there."""
    analysis = f"{THOUGHT[0]}<|message|>{thought}" if thought else ""
    if words and not words.lstrip().startswith(_HEADS):
        words = _FINAL + words
    return f"{analysis}{_NEXT}{words}" if analysis and words else analysis + words


def behind_thought(text: str) -> str | None:
    """What the beginning of an answer says to its reader; None if it is a thought to its end."""
    if text.startswith(THOUGHT[0]) and THOUGHT[1] not in text:
        return None
    return text.rpartition(_FINAL)[2]

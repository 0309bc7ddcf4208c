"""The words by which model families tell words, thoughts and calls apart, and which family a template is of.

Taken from the chat templates that the families publish with their models.
"""

import re

from msgspec import Struct
from msgspec.structs import replace

THOUGHTS = (
    ("<think>", "</think>"),
    ("[THINK]", "[/THINK]"),  # Mistral
    ("<seed:think>", "</seed:think>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Cohere
)
"""What a thought at the beginning of an answer stands between; the first is what most models write."""


class Marks(Struct, frozen=True, kw_only=True):
    """A family's marks; an empty one it does not have.

    Behind `call` comes JSON with a name and arguments, or an array of those, or, where there is a
    `separator`, a name (behind `prefix`) and after the separator the arguments alone. `call_end` ends a
    call. With `bare_json` an answer that is one JSON object is a call. `around` stands before the first call
    and after the last. `arguments` is the key of the arguments. `knows_tools` says that the template shows
    tools to the model by itself, `takes_text` that it wants the arguments of past calls as JSON text, and
    `short_ids` that it takes only ids of calls that have nine letters and digits. Behind `call_id` an id may
    stand between name and separator. With `unmarked` a call with arguments in tags may come without `call`.
    With `one_call` an answer ends with its first call. A `thought` stands between those two.
    """

    name: str
    call: str
    call_end: str = ""
    prefix: str = ""
    separator: str = ""
    around: tuple[str, str] = ("", "")
    bare_json: bool = False
    arguments: str = "arguments"
    knows_tools: bool = True
    takes_text: bool = False
    short_ids: bool = False
    call_id: str = ""
    unmarked: bool = False
    one_call: bool = False
    thought: tuple[str, str] = THOUGHTS[0]

    @property
    def special(self) -> tuple[str, ...]:
        """Marks that may be tokens of their own, whose text would not be shown otherwise."""
        marks = (self.call, self.call_end, self.call_id, self.separator, *self.around, *self.thought)
        return tuple(mark for mark in marks if mark)


GENERIC = Marks(name="generic", call="<tool_call>", call_end="</tool_call>", knows_tools=False)
"""For templates that know no tools: janfs tells of them in the system message, in Hermes' words."""

HARMONY = Marks(name="gpt-oss", call="<|call|>", one_call=True)
"""OpenAI's harmony format is read by `harmony.py`; it has channels rather than marks."""

# The first whose sign is found in the template; a template without a word of tools is a generic one.
_FAMILIES: tuple[tuple[str, Marks], ...] = (
    (r"<\|channel\|>", HARMONY),
    (
        r"<｜tool▁calls▁begin｜>",
        Marks(
            name="deepseek",
            call="<｜tool▁call▁begin｜>",
            call_end="<｜tool▁call▁end｜>",
            prefix="function<｜tool▁sep｜>",
            separator="<｜tool▁sep｜>",
            around=("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
            takes_text=True,
        ),
    ),
    (
        r"\[TOOL_CALLS\](?s:.)*\[ARGS\]",
        Marks(
            name="mistral-args",
            call="[TOOL_CALLS]",
            separator="[ARGS]",
            call_id="[CALL_ID]",
            short_ids=True,
        ),
    ),
    (r"\[TOOL_CALLS\]", Marks(name="mistral", call="[TOOL_CALLS]", short_ids=True)),
    (
        r"<tool_call>(?s:.)*<function=",
        Marks(name="qwen-coder", call="<tool_call>", call_end="</tool_call>", unmarked=True),
    ),
    (r"<tool_call>", Marks(name="hermes", call="<tool_call>", call_end="</tool_call>")),
    (
        r"<\|python_tag\|>|ipython",
        Marks(name="llama3", call="<|python_tag|>", bare_json=True, arguments="parameters", one_call=True),
    ),
)


def family_of(template: str | None) -> Marks:
    """The marks of the family that a chat template is of."""
    if template is None:
        return GENERIC
    found = GENERIC
    if re.search(r"\btools\b", template):
        found = next((marks for sign, marks in _FAMILIES if re.search(sign, template)), GENERIC)
    if found is HARMONY:
        return found
    return replace(found, thought=thought_of(template) or THOUGHTS[0])


def thought_of(template: str) -> tuple[str, str] | None:
    """What a thought stands between by a template, which may only tell how one ends, to leave it out."""
    return next((pair for pair in THOUGHTS if any(mark in template for mark in pair)), None)

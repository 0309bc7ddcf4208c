"""An answer as it comes, as parts: words, thoughts and calls. Pure."""

from janfs.engines.llama_cpp.dialects.reading import Reader, Said
from janfs.engines.llama_cpp.prefix_tree import common_length
from janfs.engines.protocol import CallDelta, ReasoningDelta, TextDelta

Part = TextDelta | ReasoningDelta | CallDelta


class PartStream:
    """Tells, of a text that grows, what each piece adds to what it says.

    Who has `begun` it knows the words and thoughts of that; a call in it is told all the same, and whole.
    """

    def __init__(self, read: Reader, begun: str = "") -> None:
        self._read = read
        self._text = begun
        self._known = read(begun, True) if begun else Said()
        self._told = Said()

    @property
    def called(self) -> bool:
        """Whether a tool was called."""
        return bool(self._told.calls)

    @property
    def cut_off(self) -> bool:
        """Whether the last call has no end yet."""
        return self.called and not self._told.calls[-1].whole

    @property
    def only_thought(self) -> bool:
        """Whether all that was said so far is a thought."""
        return bool(self._told.reasoning) and not (self._told.content or self._told.calls)

    def feed(self, text: str) -> list[Part]:
        """The parts that this text sets free."""
        self._text += text
        return self._tell(final=False)

    def finish(self) -> list[Part]:
        """The rest, at the end of the text."""
        return self._tell(final=True)

    def _tell(self, *, final: bool) -> list[Part]:
        before, now = self._told, self._read(self._text, final)
        self._told = now
        parts: list[Part] = []
        if reasoning := _new(now.reasoning, before.reasoning, self._known.reasoning):
            parts.append(ReasoningDelta(reasoning))
        if content := _new(now.content, before.content, self._known.content):
            parts.append(TextDelta(content))
        for number, call in enumerate(now.calls):
            known = before.calls[number] if number < len(before.calls) else None
            if known is None:
                parts.append(CallDelta(number, call.name, call.arguments))
            elif len(call.arguments) > len(known.arguments):
                parts.append(CallDelta(number, None, call.arguments[len(known.arguments) :]))
        return parts


def _new(text: str, told: str, known: str) -> str:
    """What a text says beyond what was told of it, and what else is known if it begins so."""
    return text[max(len(told), common_length(text, known)) :]

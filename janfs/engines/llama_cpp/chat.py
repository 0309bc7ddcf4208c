"""How a model wants its chats: the template in its file, or the formats that model.json may name. Pure."""

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

from janfs.engines.llama_cpp.dialects.marks import GENERIC, HARMONY, Marks, family_of, thought_of
from janfs.engines.llama_cpp.dialects.telling import (
    in_parts,
    in_words,
    one_by_one,
    template_messages,
    template_tools,
    ways_to_tell,
)
from janfs.engines.llama_cpp.template import ChatTemplate
from janfs.engines.protocol import ChatMessage, EngineSettings, Tool
from janfs.errors import EngineError, InvalidInput, LoadFailed


class Render(Protocol):
    def __call__(self, messages: Sequence[ChatMessage], tools: Sequence[Tool] = (), /) -> str:
        """The prompt, up to where the answer begins."""
        ...


class ChatFormat(NamedTuple):
    """How prompts are made, and answers read.

    `stop` ends the answer, besides the model. `thinks` says that answers may begin with a thought.
    """

    render: Render
    stop: tuple[str, ...] = ()
    marks: Marks = GENERIC
    thinks: bool = False


def chat_format(settings: EngineSettings, template: str | None, bos: str, eos: str) -> ChatFormat:
    """What the settings say wins over the file's template; with neither, plain turns by name.

    Raises `LoadFailed` for a prompt_template without `{prompt}`.
    """
    if settings.prompt_template:
        return _split_template(settings.prompt_template)
    if settings.system_prompt or settings.user_prompt or settings.ai_prompt:
        # Nitro's defaults stand in for those of the three that are not given.
        return turns(
            _or(settings.system_prompt, "ASSISTANT's RULE: "),
            _or(settings.user_prompt, "USER: "),
            _or(settings.ai_prompt, "ASSISTANT: "),
        )
    if template:
        marks = family_of(template)
        thinks = marks is HARMONY or thought_of(template) is not None
        return _templated(ChatTemplate(template, bos, eos), marks, thinks)
    return turns("", "\nUser: ", "\nAssistant:")


def _templated(template: ChatTemplate, marks: Marks, thinks: bool) -> ChatFormat:
    def render(messages: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> str:
        if not marks.knows_tools:
            messages, tools = in_words(messages, tools), ()
        if marks.one_call:
            messages = one_by_one(messages)
        refusals = []
        for told in ways_to_tell(messages):
            try:
                return filled(told, tools)
            except InvalidInput as refusal:
                refusals.append(refusal)
        raise refusals[0]  # what the client did not write it need not hear of

    def filled(messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> str:
        found = template_messages(messages, marks)
        return template.render(in_parts(found) if wants_parts() else found, template_tools(tools))

    @cache
    def wants_parts() -> bool:
        return not _shows(template, _PROBE) and _shows(template, in_parts(_PROBE))

    return ChatFormat(render, marks=marks, thinks=thinks)


_PROBE: list[dict[str, Any]] = [{"role": "user", "content": "Is this shown?"}]


def _shows(template: ChatTemplate, messages: list[dict[str, Any]]) -> bool:
    """Whether a template has in its prompt what a message says."""
    try:
        return _PROBE[0]["content"] in template.render(messages)
    except (InvalidInput, EngineError):
        return False


def turns(system: str, user: str, assistant: str, *, always_system: bool = False) -> ChatFormat:
    """Each message behind its prefix, as Nitro did: system messages first, wherever they stand.

    The answer ends where the model begins to write the next question.
    """

    def render(messages: Sequence[ChatMessage], tools: Sequence[Tool] = ()) -> str:
        messages = in_words(messages, tools)
        rules = [message.content for message in messages if message.role == "system"]
        text = system + "\n".join(rules) if rules or always_system else ""
        for message in messages:
            if message.role != "system":
                prefix = {"user": user, "assistant": assistant}.get(message.role, f"{message.role}: ")
                text += prefix + message.content
        return text + assistant

    return ChatFormat(render, (user.rstrip(),) if user.strip() else ())


def _split_template(template: str) -> ChatFormat:
    """Jan's `prompt_template`: text with the markers `{system_message}`, optional, and then `{prompt}`."""
    before, marker, assistant = template.partition("{prompt}")
    if not marker:
        raise LoadFailed("engine_parameters.prompt_template has no {prompt}: it cannot be split into turns.")
    system, marker, user = before.partition("{system_message}")
    if not marker:
        return turns("", system, assistant)
    return turns(system, user, assistant, always_system=True)


def _or(given: str | None, default: str) -> str:
    return default if given is None else given

"""How a model wants its chats: the template in its file, or the formats that model.json may name. Pure."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from janfs.engines.llama_cpp.template import ChatTemplate
from janfs.engines.protocol import ChatMessage, EngineSettings
from janfs.errors import LoadFailed


class ChatFormat(NamedTuple):
    """`render` makes the prompt, up to where the answer begins; `stop` ends the answer, besides the model."""

    render: Callable[[Sequence[ChatMessage]], str]
    stop: tuple[str, ...] = ()


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
        return ChatFormat(ChatTemplate(template, bos, eos).render)
    return turns("", "\nUser: ", "\nAssistant:")


def turns(system: str, user: str, assistant: str, *, always_system: bool = False) -> ChatFormat:
    """Each message behind its prefix, as Nitro did: system messages first, wherever they stand.

    The answer ends where the model begins to write the next question.
    """

    def render(messages: Sequence[ChatMessage]) -> str:
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

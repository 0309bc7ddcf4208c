"""Messages and tools, as templates take them and in words."""

import json
import re

import pytest
from msgspec.structs import replace

from janfs.engines.llama_cpp.chat import chat_format
from janfs.engines.llama_cpp.dialects.marks import family_of
from janfs.engines.llama_cpp.dialects.telling import in_words, template_messages
from janfs.engines.protocol import ChatMessage, EngineSettings, Tool, ToolCall
from janfs.errors import InvalidInput

CALL = ToolCall("c1", "weather", '{"city": "Paris"}')
CHAT = (
    ChatMessage("system", "Be kind."),
    ChatMessage("user", "Hi"),
    ChatMessage("assistant", "", (CALL,), reasoning="Hm."),
    ChatMessage("tool", "sunny", tool_call_id="c1"),
)
WEATHER = Tool("weather", "Tells it.", '{"type": "object"}')
HERMES = (
    "{% if tools %}{{ tools | tojson }}<tool_call>{% endif %}"
    "{% for m in messages %}[{{ m | tojson }}]{% endfor %}"
)


def test_a_template_that_knows_tools_is_given_them_with_calls_as_objects() -> None:
    text = chat_format(EngineSettings(), HERMES, "", "").render(CHAT, [WEATHER])
    tools, _, rest = text.partition("<tool_call>")
    assert json.loads(tools)[0]["function"]["name"] == "weather"
    assert '"arguments": {"city": "Paris"}' in rest
    assert '"reasoning_content": "Hm."' in rest
    assert '"tool_call_id": "c1"' in rest


def test_some_families_take_the_arguments_as_text() -> None:
    marks = family_of("tools <｜tool▁calls▁begin｜>")
    found = template_messages(CHAT, marks)[2]["tool_calls"][0]["function"]
    assert found == {"name": "weather", "arguments": '{"city": "Paris"}'}


@pytest.mark.parametrize("sign", ["<tool_call>", "<｜tool▁calls▁begin｜>"])
def test_arguments_that_are_no_json_are_shown_all_the_same(sign: str) -> None:
    """A model's mistake that it is told of in the result, so that it can do better."""
    broken = '{"city": "Paris",}'
    for given, as_object, as_text in (
        (broken, {"raw_arguments": broken}, broken),
        ("[" * 100_000, {"raw_arguments": "[" * 100_000}, "[" * 100_000),
        ("", {}, "{}"),
    ):
        marks = family_of(f"tools {sign}")
        [found] = template_messages([ChatMessage("assistant", "", (ToolCall("c1", "x", given),))], marks)
        [call] = found["tool_calls"]
        assert call["function"]["arguments"] == (as_text if marks.takes_text else as_object)


def test_a_template_without_a_word_of_tools_is_told_of_them_in_the_systems() -> None:
    plain = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    text = chat_format(EngineSettings(), plain, "", "").render(CHAT, [WEATHER])
    assert text.startswith("[system]You can call")
    assert '"name": "weather"' in text
    assert "Be kind.[user]Hi[assistant]" in text
    assert '<tool_call>{"name": "weather", "arguments": {"city": "Paris"}}</tool_call>' in text
    assert text.endswith("[user]<tool_response>\nsunny\n</tool_response>")


def test_without_a_system_message_the_first_users_tells_of_them() -> None:
    first = in_words([ChatMessage("user", "Hi")], [WEATHER])[0]
    assert first.role == "user"
    assert first.content.endswith("\n\nHi")


def test_a_chat_without_tools_is_as_it_was() -> None:
    assert in_words(CHAT[:2], []) == list(CHAT[:2])


def test_what_came_of_several_calls_is_one_message_where_users_take_turns() -> None:
    second = ToolCall("c2", "weather", '{"city": "Bern"}')
    chat = (*CHAT[:2], ChatMessage("assistant", "", (CALL, second)), CHAT[3], answer_to(second, "rainy"))
    *_, last = in_words(chat, [WEATHER])
    assert last.role == "user"
    assert last.content.count("<tool_response>") == 2
    assert last.content.index("sunny") < last.content.index("rainy")


def test_where_a_template_knows_no_role_of_the_systems_the_first_user_says_it() -> None:
    strict = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
        "[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    chat = chat_format(EngineSettings(), strict, "", "")
    assert chat.render(CHAT[:2]) == "[user]Be kind.\n\nHi"
    told = chat.render(CHAT, [WEATHER])
    assert told.startswith("[user]You can call")
    assert "Be kind.\n\nHi[assistant]" in told
    with pytest.raises(InvalidInput, match="no system role"):
        chat.render(CHAT[:1])


def test_where_a_template_wants_them_to_take_turns_users_say_at_once_what_they_said_in_a_row() -> None:
    """As those of Gemma and Mistral do, which refuse the chats of many a client."""
    strict = (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles must alternate') }}{% endif %}[{{ m.role }}]{{ m.content }}{% endfor %}"
    )
    hi, system, answer = CHAT[1], CHAT[0], ChatMessage("assistant", "Yes?")
    chat = chat_format(EngineSettings(), strict, "", "")
    assert chat.render([hi, answer, hi, hi, hi]) == "[user]Hi[assistant]Yes?[user]Hi\n\nHi\n\nHi"
    assert chat.render([system, hi, hi, answer]) == "[user]Be kind.\n\nHi\n\nHi[assistant]Yes?"
    told = chat.render([*CHAT[1:], hi], [WEATHER])
    assert told.endswith("[user]<tool_response>\nsunny\n</tool_response>\n\nHi"), (
        "a result, and words after it"
    )
    with pytest.raises(InvalidInput, match="roles must alternate"):
        chat.render([answer, hi])
    easy = chat_format(EngineSettings(), "{% for m in messages %}[{{ m.content }}]{% endfor %}", "", "")
    assert easy.render([hi, hi]) == "[Hi][Hi]", "a template that takes them as they are"


def test_what_else_a_template_refuses_is_told_as_it_says_it() -> None:
    choosy = (
        "{% for m in messages %}{% if m.role == 'tool' %}"
        "{{ raise_exception('no tools') }}{% endif %}{% endfor %}"
    )
    for chat in (CHAT, CHAT[1:]):
        with pytest.raises(InvalidInput, match="no tools"):
            chat_format(EngineSettings(), f"{HERMES}{choosy}", "", "").render(chat)


def test_gpt_oss_is_shown_its_thoughts_by_the_name_that_its_template_has_for_them() -> None:
    """The template has but one of the two, words or a thought, before a call, and shows both as a thought."""
    picky = (
        "{# tools <|channel|> #}{% for m in messages %}{% if m.tool_calls and m.content and m.thinking %}"
        "{{ raise_exception('not both') }}{% endif %}[{{ m.thinking or '' }}|{{ m.content }}]{% endfor %}"
    )
    chat = chat_format(EngineSettings(), picky, "", "")
    thought = ChatMessage("assistant", "", (CALL,), reasoning="Hm.")
    assert chat.render([CHAT[1], thought]) == "[|Hi][Hm.|]"
    assert chat.render([CHAT[1], replace(thought, content="Well.")]) == "[|Hi][Hm.\n\nWell.|]"
    assert chat.render([CHAT[1], replace(thought, content="Well.", reasoning=None)]) == "[|Hi][|Well.]"
    assert chat.render([CHAT[1], ChatMessage("assistant", "Yes.", reasoning="Hm.")]) == "[|Hi][Hm.|Yes.]"


@pytest.mark.parametrize(("sign", "said"), [("<|python_tag|>", "Well.Hm."), ("<|channel|>", "Hm.\n\nWell.")])
def test_who_calls_one_at_a_time_is_shown_calls_one_at_a_time(sign: str, said: str) -> None:
    second = ToolCall("c2", "time", "{}")
    answers = (answer_to(second, "noon"), answer_to(CALL, "sunny"))
    chat = (*CHAT[:2], ChatMessage("assistant", "Well.", (CALL, second), reasoning="Hm."), *answers, CHAT[1])
    single = (
        f"{{# tools {sign} #}}{{% for m in messages %}}[{{{{ m.role }}}}]"
        "{{ m.thinking or m.content ~ m.reasoning_content }}"
        "{% for call in m.tool_calls %}({{ call.function.name }}){% endfor %}{% endfor %}"
    )
    text = chat_format(EngineSettings(), single, "", "").render(chat)
    first = f"[system]Be kind.[user]Hi[assistant]{said}(weather)[tool]sunny"
    assert text == f"{first}[assistant](time)[tool]noon[user]Hi"


@pytest.mark.parametrize("sign", ["[TOOL_CALLS]", "[TOOL_CALLS][ARGS]"])
def test_mistrals_templates_are_given_ids_of_nine_letters_and_digits(sign: str) -> None:
    """Mistral's templates refuse others, OpenAI's and ours too."""
    short = (
        f"{{# tools {sign} #}}{{% for m in messages %}}"
        "{% for id in (m.tool_calls | map(attribute='id') | list if m.tool_calls else [m.tool_call_id]) %}"
        "{% if id and id | length != 9 %}{{ raise_exception('length 9!') }}{% endif %}[{{ id }}]"
        "{% endfor %}{% endfor %}"
    )
    ids = ("call_0123456789abcdef01234567", "call_0123456789abcdef01234568", "Ab3456789")
    calls = tuple(ToolCall(id_, "time", "{}") for id_ in ids)
    chat = (CHAT[1], ChatMessage("assistant", "", calls), *(answer_to(each, "noon") for each in calls))
    told = re.findall(r"\[(\w+)\]", chat_format(EngineSettings(), short, "", "").render(chat))
    assert told[:3] == told[3:], "a result does not name its call"
    assert len(set(told)) == 3
    assert told[2] == "Ab3456789", "an id that the template takes was changed"


def answer_to(call: ToolCall, content: str) -> ChatMessage:
    return ChatMessage("tool", content, tool_call_id=call.id)

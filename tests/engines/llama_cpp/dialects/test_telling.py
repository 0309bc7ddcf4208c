"""Messages and tools, as templates take them and in words."""

import json

from janfs.engines.llama_cpp.chat import chat_format
from janfs.engines.llama_cpp.dialects.marks import family_of
from janfs.engines.llama_cpp.dialects.telling import in_words, template_messages
from janfs.engines.protocol import ChatMessage, EngineSettings, Tool, ToolCall

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

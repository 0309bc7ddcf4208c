import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.chat import chat_format
from janfs.engines.protocol import ChatMessage, EngineSettings
from janfs.errors import LoadFailed

SYSTEM, USER = ChatMessage("system", "be brief"), ChatMessage("user", "hi")
ANSWER, AGAIN = ChatMessage("assistant", "hello"), ChatMessage("user", "bye")
FILE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}{{ eos_token }}"


def test_the_files_template_is_used_where_the_settings_name_none() -> None:
    chat = chat_format(EngineSettings(), FILE, "<s>", "</s>")
    assert chat.render([USER]) == "[user]hi</s>"
    assert chat.stop == ()


def test_a_prompt_template_wins_over_the_file_and_holds_several_turns() -> None:
    form = "<|system|>\n{system_message}</s>\n<|user|>\n{prompt}</s>\n<|assistant|>\n"
    chat = chat_format(EngineSettings(prompt_template=form), FILE, "", "")
    assert chat.render([SYSTEM, USER]) == form.format(system_message="be brief", prompt="hi")
    assert chat.render([USER]) == form.format(system_message="", prompt="hi"), "as if the system said nothing"
    assert chat.render([SYSTEM, USER, ANSWER, AGAIN]) == (
        form.format(system_message="be brief", prompt="hi") + "hello</s>\n<|user|>\nbye</s>\n<|assistant|>\n"
    )
    assert chat.stop == ("</s>\n<|user|>",)


def test_a_prompt_template_may_do_without_a_system_message() -> None:
    chat = chat_format(EngineSettings(prompt_template="### User: {prompt}\n### Answer:"), None, "", "")
    assert chat.render([USER]) == "### User: hi\n### Answer:"


def test_a_prompt_template_without_its_marker_cannot_be_loaded() -> None:
    with pytest.raises(LoadFailed, match=r"\{prompt\}"):
        chat_format(EngineSettings(prompt_template="Hello"), None, "", "")


def test_nitros_three_prompts_win_over_the_file_and_have_its_defaults() -> None:
    chat = chat_format(EngineSettings(user_prompt="U: ", ai_prompt=" A: "), FILE, "", "")
    assert chat.render([USER, ANSWER, AGAIN, SYSTEM]) == (
        "ASSISTANT's RULE: be briefU: hi A: helloU: bye A: "
    ), "system messages come first, wherever they stand"
    assert chat.stop == ("U:",)


@pytest.mark.parametrize(("says", "thinks"), [("<think>", True), ("</think>", True), ("think", False)])
def test_a_template_tells_that_its_model_thinks_also_where_it_only_leaves_thoughts_out(
    says: str, thinks: bool
) -> None:
    """As the first templates of DeepSeek R1 do: its answers begin with the thought by themselves."""
    template = "{% for m in messages %}{{ m.content.split('" + says + "')[-1] }}{% endfor %}"
    assert chat_format(EngineSettings(), template, "", "").thinks is thinks


@pytest.mark.parametrize(
    "shown",
    [
        "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}",
        "{% for part in m.content | selectattr('type', 'equalto', 'text') %}{{ part.text }}{% endfor %}",
        "{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}?{% endif %}",
    ],
)
def test_content_is_a_list_of_parts_for_templates_that_see_no_other(shown: str) -> None:
    """As those of SmolVLM and LLaVA: what users said was not in their prompts at all."""
    template = "{% for m in messages %}[{{ m.role }}]" + shown + "{% endfor %}"
    chat = chat_format(EngineSettings(), template, "", "")
    for _ in range(2):
        assert chat.render([SYSTEM, USER, ANSWER]) == "[system]be brief[user]hi[assistant]hello"


@given(st.lists(st.builds(ChatMessage, st.sampled_from(["system", "user", "tool"]), st.text()), max_size=4))
def test_without_any_format_the_turns_are_named_and_nothing_is_lost(messages: list[ChatMessage]) -> None:
    chat = chat_format(EngineSettings(), None, "", "")
    text = chat.render(messages)
    assert text.endswith("\nAssistant:")
    assert all(message.content in text for message in messages)
    assert chat.stop == ("\nUser:",)

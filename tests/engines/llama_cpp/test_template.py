import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp import limits
from janfs.engines.llama_cpp import template as template_module
from janfs.engines.llama_cpp.dialects.marks import GENERIC
from janfs.engines.llama_cpp.dialects.telling import template_messages
from janfs.engines.llama_cpp.template import ChatTemplate
from janfs.engines.protocol import ChatMessage
from janfs.errors import EngineError, InvalidInput

HELLO = (ChatMessage("user", "hello"),)

CHATML = """\
{% for message in messages %}\
{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}\
{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# In the manner of Llama 2's: a system message is put into the first question, and roles must alternate.
LLAMA2 = """\
{% if messages[0]['role'] == 'system' %}
  {% set rest = messages[1:] %}{% set rules = messages[0]['content'] %}
{% else %}
  {% set rest = messages %}{% set rules = false %}
{% endif %}
{% for message in rest %}
  {% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
    {{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}
  {% endif %}
  {% set content = message['content'] %}
  {% if loop.index0 == 0 and rules != false %}
    {% set content = '<<SYS>>\\n' + rules + '\\n<</SYS>>\\n\\n' + content %}
  {% endif %}
  {%- if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
  {%- elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}
  {%- endif %}
{% endfor %}"""


def render(source: str, *messages: ChatMessage) -> str:
    return ChatTemplate(source, "<s>", "</s>").render(template_messages(messages or HELLO, GENERIC))


@given(st.lists(st.builds(ChatMessage, st.sampled_from(["system", "user", "assistant"]), st.text())))
def test_chatml_renders_every_conversation_as_published(messages: list[ChatMessage]) -> None:
    expected = "".join(f"<|im_start|>{m.role}\n{m.content}<|im_end|>\n" for m in messages)
    assert (
        ChatTemplate(CHATML, "", "").render(template_messages(messages, GENERIC))
        == expected + "<|im_start|>assistant\n"
    )


def test_special_tokens_are_there_and_a_refusal_is_the_callers_mistake() -> None:
    system, user = ChatMessage("system", "be brief"), ChatMessage("user", "hi")
    assert render(LLAMA2, system, user) == "<s>[INST] <<SYS>>\nbe brief\n<</SYS>>\n\nhi [/INST]"
    with pytest.raises(InvalidInput, match="must alternate") as caught:
        render(LLAMA2, user, user)
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{% if tools %}tools{% else %}none{% endif %}", "none"),
        ("{{ strftime_now('%Y') }}", str(datetime.now().year)),
        ("{% for m in messages %}{% break %}{% endfor %}x", "x"),
        ("{% generation %}{{ messages[0].content }}{% endgeneration %}", "hello"),
        ("  {% if true %}\n  x\n  {% endif %}\ny", "  x\ny"),
        ("{{ messages | tojson }}", json.dumps([{"role": "user", "content": "hello"}])),
        ("{{ messages | map(attribute='role') | tojson }}", '["user"]'),
        ("{{ 'é' | tojson(ensure_ascii=False) }}{{ 'é' | tojson(ensure_ascii=True) }}", '"é""\\u00e9"'),
        ("{{ {'a': '<é>'} | tojson(indent=2) }}", '{\n  "a": "<é>"\n}'),
        (
            "{% set ns = namespace(n=1) %}{% for m in messages %}{% set ns.n = 2 %}{% endfor %}{{ ns.n }}",
            "2",
        ),
        (
            "{{ '%s!' | format('a') }}{{ '%d' % 5 }}{{ '{:>3}'.format(7) }}{{ 'ab' * 2 }}{{ 2 ** 3 }}",
            "a!5  7abab8",
        ),
    ],
)
def test_what_published_templates_use_is_there(source: str, expected: str) -> None:
    assert render(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{{ messages.append(1) }}",
        "{{ messages[0].update(role='system') }}",
        "{{ self.__init__.__globals__ }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_template_reaches_nothing_outside_itself(source: str) -> None:
    with pytest.raises(EngineError, match=r"chat template failed: \w+"):
        render(source)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ 'a' * 10 ** 10 }}", "too big a number"),
        ("{{ 9 ** (9 ** 9) }}", "too big a number"),
        (
            "{% set ns = namespace(n=9) %}{% for i in range(90) %}{% set ns.n = ns.n * ns.n %}{% endfor %}",
            "a number is too big",
        ),
        ("{{ 'a'.ljust(10000000000) }}", "too big a number"),
        ("{{ 'a' | center(10000000000) }}", "too big a number"),
        ("{{ '{:>9999999999}'.format('a') }}", "too big a width"),
        ("{{ '{:>{}}'.format('a', 9999999) }}", "too big a width"),
        ("{{ '{:>{w[0]}}'.format_map({'w': [9999999999]}) }}", "too big a width"),
        ("{{ '%9999999999d' % 1 }}", "too big a width"),
        ("{{ '%*d' % (9999999, 1) }}", "too big a width"),
        ("{{ '%9999999999d' | format(1) }}", "too big a width"),
        ("{{ [1] | tojson(indent=1000000000) }}", "too big a number"),
        ("{% for i in range(100000) %}{{ 'x' * 1000 }}{% endfor %}", "more than 16777216 characters"),
        (
            "{% set ns = namespace(s='x') %}{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
            "256 MiB of memory",
        ),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "recursion"),
        ("{% if x", "unexpected end"),
        ("{{ cycler() }}", "at least one item"),
        ("x" * (template_module.MAX_SOURCE + 1), "more than 1048576"),
    ],
)
def test_a_template_that_would_fill_the_memory_is_stopped_before_it_does(
    monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    monkeypatch.setattr(template_module, "MAX_SECONDS", 3600.0)  # no clock has a part in it
    with pytest.raises(EngineError, match=f"{why}.*prompt_template"):
        render(source)


def test_a_template_that_does_not_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_module, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(limits, "_STUCK", 10_000)  # however long a busy machine takes to give it that
    endless = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
    with pytest.raises(EngineError, match=r"more than 0\.2 seconds"):
        render(endless)
    assert render(CHATML), "the next template renders as ever"

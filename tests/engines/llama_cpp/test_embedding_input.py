"""The tokens of what is to become a vector."""

from dataclasses import dataclass

import pytest

from janfs.engines.llama_cpp.embedding_input import input_tokens
from janfs.engines.protocol import PairPrompt, Pooling, TextPrompt, TokenPrompt
from janfs.errors import InvalidInput

BOS, EOS, SEP = 1, 2, 3


@dataclass
class Letters:
    """A token for each letter."""

    adds_bos: bool = True
    adds_eos: bool = False
    adds_sep: bool = True
    bos: int = BOS
    eos: int = EOS
    sep: int = SEP
    n_vocab: int = 256
    rerank_template: str | None = None

    def fewest(self, text: str) -> int:
        return len(text.encode())

    def tokenize(self, text: str, *, whole: bool = False) -> list[int]:
        tokens = list(text.encode())
        return [BOS, *tokens, SEP] if whole else tokens


def test_a_text_begins_and_ends_as_the_vocabulary_wants_it_and_tokens_stay_as_they_are() -> None:
    assert input_tokens(TextPrompt("a"), Letters(), "mean") == [BOS, ord("a"), SEP]
    assert input_tokens(TokenPrompt((7, 8)), Letters(), "mean") == [7, 8]


@pytest.mark.parametrize(
    ("vocabulary", "expected"),
    [
        (Letters(), [BOS, ord("q"), SEP, ord("d"), SEP]),
        (Letters(adds_eos=True), [BOS, ord("q"), EOS, SEP, ord("d"), EOS]),
        (Letters(adds_eos=True, eos=-1, adds_sep=False), [BOS, ord("q"), SEP, ord("d"), SEP]),
        (Letters(adds_bos=False, adds_sep=False), [ord("q"), ord("d")]),
        (Letters(rerank_template="<{query}|{document}>"), list(b"<q|d>")),
    ],
)
def test_a_question_and_a_text_are_put_together_as_the_model_was_trained(
    vocabulary: Letters, expected: list[int]
) -> None:
    assert input_tokens(PairPrompt("q", "d"), vocabulary, "rank") == expected


def test_a_question_cannot_speak_for_the_template() -> None:
    vocabulary = Letters(rerank_template="{query}|{document}")
    assert input_tokens(PairPrompt("{document}", "{query}"), vocabulary, "rank") == list(
        b"{document}|{query}"
    )


@pytest.mark.parametrize(
    ("text", "pooling", "words"),
    [
        (TextPrompt("a"), "none", "pooling is none"),
        (TextPrompt("a"), "rank", "/v1/rerank"),
        (PairPrompt("a", "b"), "mean", "does not rank"),
        (TokenPrompt((256,)), "mean", "Token 256"),
        (TokenPrompt(()), "mean", "empty"),
    ],
)
def test_what_is_no_use_is_refused_and_told_why(
    text: TextPrompt | TokenPrompt | PairPrompt, pooling: Pooling, words: str
) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        input_tokens(text, Letters(), pooling, "input[3]")
    assert caught.value.param == ("input[3]" if isinstance(text, TokenPrompt) else "model")

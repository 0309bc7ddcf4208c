from hypothesis import given
from hypothesis import strategies as st

from janfs.engines.throughput import WINDOW, Throughput


def test_a_steady_writer_has_its_rate() -> None:
    throughput = Throughput()
    for tick in range(400):
        throughput.add(1, 100 + tick / 20)
    assert 18 <= throughput.rate(120) <= 22


def test_who_stops_writing_comes_to_nothing() -> None:
    throughput = Throughput()
    throughput.add(50, 100.0)
    assert throughput.rate(100.5) == 50
    assert throughput.rate(105.0) == 10
    assert throughput.rate(101.5 + WINDOW) == 0


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(0, 30)), max_size=50))
def test_it_is_never_more_than_was_written(written: list[tuple[int, float]]) -> None:
    throughput, now = Throughput(), 0.0
    for tokens, wait in written:
        now += wait
        throughput.add(tokens, now)
    assert 0 <= throughput.rate(now) <= sum(tokens for tokens, _ in written)

"""Requests whose tokens are chosen slowly, and what they leave to others."""

from janfs.engines.llama_cpp.sitting_out import SLOW, SittingOut

STEP = 1 / 32  # which adds up exactly


def choose(sitting_out: SittingOut, *seconds: float) -> list[bool]:
    """A step with all of them; whose choice was slow."""
    sitting_out.computed(STEP)
    return [sitting_out.chose(each) for each in seconds]


def test_who_was_slow_sits_out_for_as_long_as_it_took() -> None:
    sitting_out = SittingOut()
    slow = choose(sitting_out, 0.0, 11 * STEP)
    assert slow == [False, True]
    for _ in range(10):
        assert sitting_out.share([1, 1], slow) == [1, 0]
        choose(sitting_out, 0.0)
    assert sitting_out.share([1, 1], slow) == [1, 1]


def test_several_that_are_slow_share_one_half() -> None:
    sitting_out = SittingOut()
    slow = choose(sitting_out, 0.0, 11 * STEP, 10 * STEP)
    for _ in range(20):
        assert sitting_out.share([300, 1, 1], slow) == [300, 0, 0]
        choose(sitting_out)
    assert sitting_out.share([300, 1, 1], slow) == [300, 1, 1]


def test_who_is_alone_does_not_sit_out_and_owes_nothing_later() -> None:
    sitting_out = SittingOut()
    for _ in range(100):
        assert sitting_out.share([1, 0], [True, False]) == [1, 0]
        assert choose(sitting_out, 10.0) == [True]
    sitting_out.share([1], [True])
    assert sitting_out.share([1, 1], [True, False]) == [1, 1]


def test_sound_grammars_sit_out_never() -> None:
    sitting_out = SittingOut()
    for _ in range(100):
        slow = choose(sitting_out, SLOW, SLOW)
        assert sitting_out.share([1, 1, 7], [*slow, False]) == [1, 1, 7]

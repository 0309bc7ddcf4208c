"""How callers of the API say who they are."""

from hypothesis import given
from hypothesis import strategies as st

from janfs.callers import as_name, is_name


@given(st.text(min_size=1))
def test_whatever_a_user_is_called_the_header_can_carry_it_and_the_service_takes_it(user: str) -> None:
    name = as_name(user)
    assert name.isascii()
    assert is_name(name)


def test_a_plain_name_stays_as_it_is() -> None:
    assert as_name("ann.b@host-1") == "ann.b@host-1"

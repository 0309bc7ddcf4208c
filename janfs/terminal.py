"""What a terminal may be shown: a file's name can hold anything, also what steers one."""

import re

# C0 and C1 but for tabs, and what turns the direction of writing around.
_STEERING = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def visible(line: str) -> str:
    """One line, with what would steer the terminal, or begin another line, written as Python writes it."""
    return _STEERING.sub(lambda found: ascii(found[0])[1:-1], line)


def visible_lines(text: str) -> str:
    """The same of several lines."""
    return "\n".join(map(visible, text.split("\n")))

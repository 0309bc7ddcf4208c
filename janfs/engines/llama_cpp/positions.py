"""Where tokens stand for a model to which an image is shorter than its rows. Pure.

In models with M-RoPE, as Qwen's, an image takes a cell for each of its rows, but only as many positions as it
is wide or high: all rows have the position at which it begins, and are told apart in two more dimensions. So
a token's place in its sequence is not its position behind an image, and an image has no inner position.
"""

from typing import NamedTuple


class Image(NamedTuple):
    """An image in a sequence: so many `rows`, which take `extent` positions."""

    rows: int
    extent: int


class Positions:
    """The positions of tokens in each sequence, by their places. No place is within an image."""

    def __init__(self) -> None:
        self._images: dict[int, dict[int, Image]] = {}  # by sequence and place; only those that are shorter

    def of(self, seq: int, place: int) -> int:
        """The position of what is at a place of a sequence."""
        images = self._images.get(seq)
        if not images:
            return place
        return place - sum(each.rows - each.extent for start, each in images.items() if start < place)

    def add(self, seq: int, place: int, image: Image) -> None:
        """Take note of an image at the end of a sequence; again, if it comes in pieces."""
        if image.rows != image.extent:
            self._images.setdefault(seq, {})[place] = image

    def images(self, seq: int) -> dict[int, Image]:
        """The images of a sequence by their places."""
        return dict(self._images.get(seq, {}))

    def put(self, seq: int, images: dict[int, Image]) -> None:
        """Let a sequence have these images and no others."""
        self._images[seq] = dict(images)

    def share(self, source: int, target: int, start: int, end: int) -> None:
        """Let a sequence have the images of another between two places, in place of its own."""
        images = {place: each for place, each in self.images(target).items() if not start <= place < end}
        shared = {place: each for place, each in self.images(source).items() if start <= place < end}
        self.put(target, images | shared)

    def cut(self, seq: int, start: int) -> None:
        """Forget what is in a sequence from a place on."""
        self.put(seq, {place: each for place, each in self.images(seq).items() if place < start})

"""Waking those who wait."""

import asyncio
import threading

from janfs.api.bell import Bell
from tests.support.patience import PATIENCE


def test_a_ring_from_another_thread_wakes_all_who_wait() -> None:
    async def main() -> int:
        bell = Bell()
        bell.attach()
        waiting = [asyncio.create_task(bell.next_ring().wait()) for _ in range(3)]
        await asyncio.sleep(0)
        threading.Thread(target=bell.ring_from_thread).start()
        async with asyncio.timeout(PATIENCE):
            await asyncio.gather(*waiting)
        return len(waiting)

    assert asyncio.run(main()) == 3


def test_a_ring_between_asking_and_waiting_is_not_lost_and_an_old_one_does_not_count() -> None:
    async def main() -> tuple[bool, bool]:
        bell = Bell()
        rung = bell.next_ring()
        bell.ring()
        return rung.is_set(), bell.next_ring().is_set()

    assert asyncio.run(main()) == (True, False)


def test_a_ring_leads_nowhere_before_and_after_the_loop() -> None:
    bell = Bell()
    bell.ring_from_thread()

    async def main() -> None:
        bell.attach()
        bell.detach()

    asyncio.run(main())
    bell.ring_from_thread()

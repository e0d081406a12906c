"""A task that was told to end ends, also when something on the way lost the word."""

import asyncio

import pytest

from edge.cancelling import end_if_cancelled


async def test_a_cancellation_that_a_task_group_told_as_an_error_is_not_lost() -> None:
    async def fails() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise RuntimeError("the line broke")

    async def loop() -> None:
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fails())
            except* RuntimeError:
                pass
            end_if_cancelled()

    task = asyncio.create_task(loop())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    done, _ = await asyncio.wait({task}, timeout=5)
    assert done and task.cancelled()


async def test_a_task_that_nobody_ended_goes_on() -> None:
    end_if_cancelled()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(3600)
    end_if_cancelled()

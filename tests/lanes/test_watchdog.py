"""The watchdog looks at the loop, not at how long a start takes."""

from app.settings import Settings
from tests.lanes.workers import set_up, workers

SESSION = {"OMS_SESSION_TIMEOUT_S": "6"}


async def test_a_start_may_take_longer_than_a_standstill_of_the_loop(settings: Settings) -> None:
    async with workers(settings) as running:
        await set_up(settings)
        dead = running.begin(**SESSION)
        await dead.ready(60)
        await dead.kill()
        # The group waits for the dead one's session, and the new worker for the group.
        worker = running.begin(**SESSION, OMS_CYCLE_TIMEOUT_S="3")
        await worker.ready(60)

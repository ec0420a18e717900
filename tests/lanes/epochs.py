"""A lane that outlives the epochs of its producer id: `python -m tests.lanes.epochs`, two minutes.

Each transaction takes an epoch, and a producer id has 32,767 of them: a busy lane uses them up in a quarter
of an hour. The broker then gives another id, in the answer to a commit.
"""

import asyncio

from aiokafka import TopicPartition

from tests.bench.system import bench
from tests.lanes.test_producer import GROUP, committed, cycle, lane_producer

TRANSACTIONS = 33_500
# Of most only the offsets; of one in a hundred, and of all round the change, a record too.
RECORD_EACH, CHANGE = 100, range(32_600, 32_900)


async def main() -> None:
    """Prints each producer id as it comes, then what readers see. Raises when they see anything else."""
    async with bench() as system:
        settings = system.settings("epochs")
        place = TopicPartition(settings.topic("events"), 0)
        written, ids = 0, []
        async with lane_producer(settings) as producer:
            manager = producer._txn_manager
            for number in range(1, TRANSACTIONS + 1):
                if number % RECORD_EACH == 0 or number in CHANGE:
                    await cycle(producer, place, number)
                    written += 1
                else:
                    await producer.begin_transaction()
                    await producer.send_offsets_to_transaction({place: number}, GROUP)
                    await producer.commit_transaction()
                if manager.producer_id not in ids:
                    ids.append(manager.producer_id)
                    epoch = manager.producer_epoch
                    print(f"transaction {number}: producer {ids[-1]}, epoch {epoch}", flush=True)
        seen, offset = await committed(settings, place)
        print(f"{len(seen):,} of {written:,} records, offset {offset:,} of {TRANSACTIONS:,}")
        assert (len(seen), offset, len(ids)) == (written, TRANSACTIONS, 2)


if __name__ == "__main__":
    asyncio.run(main())

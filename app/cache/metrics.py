"""What the cache process counts."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS = Counter("oms_cache_records", "Records taken into Redis, by topic.", ["topic"])
REFUSED = Counter("oms_cache_refused_records", "Records that are no record of their topic.", ["topic"])
LAG = Gauge("oms_cache_lag_records", "Records of a topic that are not in Redis yet.", ["topic"])
REBUILDS = Counter("oms_cache_rebuilds", "Times that an empty Redis was filled from the topics.")
STALE_BOOKS = Gauge("oms_cache_stale_books", "Books that wait for a snapshot after a gap or a bad checksum.")
BATCH_SECONDS = Histogram(
    "oms_cache_batch_seconds",
    "Time of one transaction of Redis with what a batch changes.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2),
)

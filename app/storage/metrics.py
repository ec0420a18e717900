"""What the storage process counts."""

from prometheus_client import Counter, Gauge, Histogram

ROWS = Counter("oms_storage_rows", "Rows written, by table.", ["table"])
LAG = Gauge("oms_storage_lag_records", "Records of a topic that are not in PostgreSQL yet.", ["topic"])
BATCH_SECONDS = Histogram(
    "oms_storage_batch_seconds",
    "Time of one transaction with the rows of a batch.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
)

"""Metrics of lanes. docs/operator.md lists them."""

from prometheus_client import Counter, Gauge, Histogram

RECORDS_IN = Counter("oms_lane_records_total", "Records taken by lanes.", ["topic"])
RECORDS_OUT = Counter(
    "oms_lane_emitted_total", "Records emitted by lanes, changelog rows included.", ["topic"]
)
DEAD_LETTERS = Counter("oms_lane_dead_letters_total", "Records that became dead letters.", ["reason"])
FORWARDED = Counter("oms_lane_forwarded_total", "Records found in a wrong lane and forwarded.", ["topic"])
CYCLE_RECORDS = Histogram(
    "oms_lane_cycle_records",
    "Records per cycle.",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000),
)
_SECONDS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 5.0)
WORK_SECONDS = Histogram("oms_lane_work_seconds", "Time in agents and codec per cycle.", buckets=_SECONDS)
COMMIT_SECONDS = Histogram("oms_lane_commit_seconds", "Time of one transaction.", buckets=_SECONDS)
LANES_OPEN = Gauge("oms_lanes_open", "Lanes that this worker owns and works on.")
WAITING_BYTES = Gauge("oms_lane_waiting_bytes", "Bytes taken from Kafka that wait for a cycle.", ["lane"])
PAUSED = Counter("oms_lane_pauses_total", "Times that a full lane paused its partitions.")
RECOVERED_ROWS = Counter("oms_recovery_rows_total", "Changelog records read in recovery.")
RECOVERY_READ = Gauge("oms_recovery_read_rows", "Rows read by the recovery under way, or by the last one.")
RECOVERY_LENGTH = Gauge("oms_recovery_length_rows", "Rows that this recovery has to read, at most.")
RECOVERY_RATE = Gauge("oms_recovery_rows_per_second", "Rows a second that this recovery reads.")
RECOVERY_LEFT = Gauge("oms_recovery_left_seconds", "Seconds left of reading at this rate; 0: it is read.")
RECOVERY_SECONDS = Gauge("oms_recovery_seconds", "Time that the last recovery took.")
PAUSE_SECONDS = Histogram(
    "oms_rebalance_pause_seconds",
    "Time from giving lanes up to having lanes again: what their requests waited at least.",
    buckets=(0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0),
)
REBALANCES = Counter("oms_rebalances_total", "Times that partitions were revoked.")

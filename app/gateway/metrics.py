"""What the gateway counts."""

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)

REQUEST_SECONDS = Histogram(
    "oms_gateway_request_seconds",
    "Time to answer a request, seconds.",
    ["method", "route", "status"],
    buckets=_BUCKETS_S,
)
REQUESTS_SENT = Counter(
    "oms_gateway_sent_total",
    "Requests and controls handed to Kafka, by record, door and outcome (confirmed, unknown, not_ready).",
    ["record", "door", "outcome"],
)
WAIT_SECONDS = Histogram(
    "oms_gateway_wait_seconds",
    "Time from a request's receipt by Kafka to what was waited for, seconds.",
    ["wait", "over"],
    buckets=_BUCKETS_S,
)
STREAM_REQUEST_SECONDS = Histogram(
    "oms_gateway_stream_request_seconds",
    "Time to answer a request that came over the stream, seconds; the status is the one of REST.",
    ["request", "status"],
    buckets=_BUCKETS_S,
)
ANSWER_SECONDS = Histogram(
    "oms_gateway_answer_seconds",
    "Time from sending a request of an order to the pipeline's answer, seconds.",
    buckets=_BUCKETS_S,
)
IN_FLIGHT = Gauge("oms_gateway_in_flight", "Requests of orders that the pipeline has not answered yet.")
REFUSED = Counter(
    "oms_gateway_overload_refused_total",
    "Requests refused because too many were unanswered (in_flight), or one for too long (age).",
    ["why"],
)
STREAM_CLIENTS = Gauge("oms_gateway_stream_clients", "WebSocket clients connected.")
STREAM_DROPPED = Counter("oms_gateway_stream_dropped_total", "WebSocket clients disconnected for being slow.")

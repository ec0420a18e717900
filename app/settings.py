"""Settings, from the environment (`OMS_...`) or a `.env` file; what is not given is local.

While a local system is up, its endpoints are in `{data_dir}/state.json` (written by app.local), so
that every command finds it without an argument.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Every setting of every process. docs/settings.md lists them, checked by a test."""

    model_config = SettingsConfigDict(env_prefix="OMS_", env_file=".env", extra="ignore")

    data_dir: Path = Field(
        ROOT / "var", description="Folder for all data, logs and jars of the local system."
    )
    kafka: str = Field("", description="Kafka bootstrap servers, host:port,...; empty: the local broker.")
    registry: str = Field(
        "", description="URL of a Confluent-compatible schema registry; empty: the local one."
    )
    postgres: str = Field(
        "", description="PostgreSQL URL (postgresql://user:password@host:port/db); empty: the local one."
    )
    redis: str = Field("", description="Redis URL (redis://host:port/0); empty: the local one.")
    gateway: str = Field(
        "", description="URL of the gateway, for clients on the command line; empty: the local one."
    )
    app_id: str = Field(
        "oms", description="Kafka group of the workers, and prefix of changelogs and transactional ids."
    )
    topic_prefix: str = Field("oms", description="Prefix of every topic's name.")
    partitions: int = Field(
        4, ge=1, le=1024, description="Partitions of every topic; fixed once topics exist."
    )
    replication: int = Field(1, ge=1, description="Replicas of every topic.")
    log_level: str = Field("INFO", description="Level of the processes' own logs.")

    gateway_host: str = Field("127.0.0.1", description="Address the gateway listens on.")
    gateway_port: int = Field(0, description="Port the gateway listens on; 0: a free one near 8000.")
    registry_host: str = Field("127.0.0.1", description="Address the schema registry listens on.")
    registry_port: int = Field(0, description="Port the schema registry listens on; 0: a free one near 8081.")
    registry_topic: str = Field(
        "_schemas", description="Compacted topic in which the local schema registry keeps its schemas."
    )
    metrics_host: str = Field(
        "127.0.0.1", description="Address of the metrics endpoints of workers and sinks."
    )
    metrics_port: int = Field(0, description="Port of a worker's or sink's metrics; 0: a free one.")
    admin_key: str = Field(
        "", description="API key with the admin role, made known to the gateway at its start."
    )

    gateway_confirm_s: float = Field(
        5.0,
        gt=0,
        description="How long the gateway waits for Kafka to confirm a request, seconds; then the outcome is "
        "unknown, and it says so.",
    )
    gateway_requests_per_s: int = Field(
        2000, ge=0, description="Requests a second that one API key may make to a gateway; 0: no limit."
    )
    gateway_latency_target_ms: float = Field(
        250.0,
        gt=0,
        description="Latency from a request to its answer that a gateway keeps to under overload, ms: so "
        "many requests may be unanswered as are answered in that time. At least thrice the quiet latency.",
    )
    gateway_in_flight_min: int = Field(
        100,
        ge=1,
        description="Requests of a gateway that may be unanswered in any case between a lane of accounts and "
        "one of symbols, so that a quiet way can become a busy one.",
    )
    gateway_age_max_s: float = Field(
        3.0,
        gt=0,
        description="While a request of a gateway is unanswered for longer, it takes no new ones, seconds.",
    )
    gateway_stream_backlog: int = Field(
        5000,
        ge=10,
        description="Messages that may wait for a slow stream client before it is disconnected.",
    )

    order_id_window_s: int = Field(
        86_400,
        ge=0,
        description="How long a finished order's client_order_id is remembered, seconds; "
        "at least until its UTC day ends.",
    )
    market_protection_bps: int = Field(
        500,
        ge=1,
        le=10_000,
        description="How far from the reference price a market order may trade, basis points; "
        "its reservation is made for that.",
    )
    session_timeout_s: float = Field(
        6.0, ge=1, description="Kafka session timeout of a worker, seconds: its fail-over time after kill -9."
    )
    heartbeat_s: float = Field(0.4, gt=0, description="Heartbeat of a worker to its Kafka group, seconds.")
    cycle_floor_ms: float = Field(
        4.0,
        ge=0,
        description="Least time between the beginnings of two cycles of a worker's lanes, ms: more saves "
        "CPU, of the broker, too; less saves latency where brokers have CPU to spare.",
    )
    cycle_records_max: int = Field(2000, ge=1, description="Most records that a lane takes in one cycle.")
    cycle_timeout_s: float = Field(
        20.0, gt=0, description="A cycle or recovery that stands still for so long ends the worker, seconds."
    )
    lane_bytes_max: int = Field(
        8 * 1024 * 1024,
        ge=65_536,
        description="Bytes waiting in a lane above which its partitions are paused.",
    )
    request_bytes_max: int = Field(
        65_536, ge=1024, description="Largest value of a request, bytes; a larger one goes to dead letters."
    )

    @cached_property
    def local(self) -> dict[str, Any]:
        """What app.local wrote about the running local system; empty when none was started."""
        try:
            state: dict[str, Any] = json.loads((self.data_dir / "state.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return state

    def endpoint(self, part: str) -> str:
        """Address of `kafka`, `registry`, `postgres`, `redis` or `gateway`: as set, else the local one's.

        Raises SystemExit with the next step when there is neither.
        """
        given: str = getattr(self, part) or self.local.get("endpoints", {}).get(part, "")
        if not given:
            raise SystemExit(
                f"no {part} address: set OMS_{part.upper()}, or start the local system with `oms up`"
            )
        return given

    def topic(self, short: str) -> str:
        """Full name of a topic: `orders` is `oms.orders.v1`."""
        return f"{self.topic_prefix}.{short}.v1"

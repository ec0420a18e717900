"""Every topic: its key, its records, how long it keeps them. All have the same number of partitions."""

from dataclasses import dataclass
from typing import Literal

from schemas import messages as m

KEEP = {"cleanup.policy": "delete", "retention.ms": "-1"}
COMPACT = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.2", "segment.ms": "600000"}
# The broker's clock, not the producer's, dates what comes from outside.
DATED_BY_LOG = {"message.timestamp.type": "LogAppendTime"}


@dataclass(frozen=True)
class Topic:
    """One topic. `key` names the message field whose murmur2 is the lane ("" : the writer's lane)."""

    short: str
    key: Literal["account", "symbol", "account or symbol", "lane"]
    records: tuple[type, ...]
    config: dict[str, str]
    doc: str

    def name(self, prefix: str = "oms") -> str:
        """The topic's name on the broker, as in `oms.orders.v1`."""
        return f"{prefix}.{self.short}.v1"


TOPICS: dict[str, Topic] = {
    topic.short: topic
    for topic in (
        Topic(
            "orders",
            "account",
            (m.NewOrder, m.CancelOrder, m.ReplaceOrder, m.MassCancel, m.CancelAllAfter),
            {**KEEP, **DATED_BY_LOG},
            "Requests of clients.",
        ),
        Topic(
            "quotes",
            "symbol",
            (m.Quote,),
            {
                "cleanup.policy": "delete",
                "retention.ms": "86400000",
                "retention.bytes": str(512 * 1024 * 1024),
                **DATED_BY_LOG,
            },
            "Outside markets' best bids and asks.",
        ),
        Topic(
            "control",
            "account or symbol",
            (
                m.SetAccount,
                m.SetLimits,
                m.MoveCash,
                m.MoveHolding,
                m.SetSymbolState,
                m.SetPriceBand,
                m.CancelSymbol,
                m.ExpireDay,
                m.SetSession,
                m.Uncross,
                m.SetTradingBand,
            ),
            {**KEEP, **DATED_BY_LOG},
            "Accounts, limits, halts, sessions, cash and holding movements, ends of day.",
        ),
        Topic(
            "cleared",
            "symbol",
            (m.ClearedOrder, m.ClearedCancel, m.ClearedReplace, m.ClearedStatusRequest),
            KEEP,
            "Requests whose money or holding is reserved.",
        ),
        Topic("executions", "account", (m.Execution,), KEEP, "What changes a reservation."),
        Topic(
            "events",
            "lane",
            (m.OrderEvent, m.MassCancelReport, m.ControlReport, m.SelfTradePrevented, m.QuoteTaken),
            KEEP,
            "The life of every order, one event per change of state, and the answer to every request.",
        ),
        Topic("trades", "symbol", (m.Trade,), KEEP, "One record per trade."),
        Topic(
            "books",
            "symbol",
            (m.BookUpdate, m.SessionChange, m.AuctionIndication),
            {
                "cleanup.policy": "delete",
                "retention.ms": "86400000",
                "retention.bytes": str(256 * 1024 * 1024),
                # A snapshot is one record: 4 MiB are a hundred thousand price levels.
                "max.message.bytes": str(4 * 1024 * 1024),
            },
            "Changes of price levels with sequence and checksum; a full snapshot now and then; sessions.",
        ),
        Topic("positions", "account", (m.Position,), COMPACT, "Cash and holdings after each change."),
        Topic(
            "instruments", "symbol", (m.Instrument,), COMPACT, "Reference data, read whole by every worker."
        ),
        Topic(
            "reference-prices",
            "symbol",
            (m.ReferencePrice,),
            COMPACT,
            "Prices for limits and reservations, read whole by every worker.",
        ),
        Topic(
            "dead-letters",
            "lane",
            (m.DeadLetter,),
            {**KEEP, "max.message.bytes": str(4 * 1024 * 1024)},
            "What could not be taken, with its bytes.",
        ),
    )
}

TOPIC_OF_RECORD: dict[str, Topic] = {
    record.__name__: topic for topic in TOPICS.values() for record in topic.records
}

# Rows of the tables; each table has the changelog topic `{app_id}-{table}-changelog`.
ROWS_OF_TABLE: dict[str, tuple[type, ...]] = {
    "accounts": (m.AccountRow, m.AssetRow, m.AccountOrderRow, m.AliasRow),
    "risk": (m.RiskRow, m.AliasRow),
    "matching": (m.BookRow, m.BookOrderRow, m.ListRow),
}
# What a recovery reads is live rows, one segment that is not compacted yet, and as much again that waits for
# the cleaner. Deleted keys are kept longer than a recovery takes, or it would see a row without its deletion.
CHANGELOG_CONFIG = {
    "cleanup.policy": "compact",
    "min.cleanable.dirty.ratio": "0.3",
    "segment.ms": "600000",
    "segment.bytes": str(16 * 1024 * 1024),
    "delete.retention.ms": "600000",
}


def changelog_name(app_id: str, table: str) -> str:
    """Name of a table's changelog topic, as in `oms-accounts-changelog`."""
    return f"{app_id}-{table}-changelog"


def subject(topic_name: str, record: str) -> str:
    """Subject of a record under TopicRecordNameStrategy, as in `oms.orders.v1-oms.NewOrder`."""
    return f"{topic_name}-oms.{record}"

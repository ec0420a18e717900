"""Every order type: what an order carries beyond its type, self-trade prevention, rules of instruments.

Rules: `instructions` has the fields that are used, named and written as in JSON answers; null where nothing
is. Old rows carry nothing.
"""

from alembic import op

revision = "0002"
down_revision = "0001"

ORDERS = """
ALTER TABLE orders ADD COLUMN instructions jsonb;
ALTER TABLE order_events ADD COLUMN instructions jsonb;
COMMENT ON COLUMN orders.instructions IS 'What it carries beyond its type, as last replaced; null: nothing.';
CREATE INDEX orders_by_link ON orders (account, (instructions -> 'link' ->> 'id'))
    WHERE instructions ? 'link';

CREATE TABLE self_trades_prevented (
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    symbol text NOT NULL,
    price numeric(38,8) NOT NULL,
    quantity numeric(38,8) NOT NULL,
    maker_account text NOT NULL,
    maker_client_order_id text NOT NULL,
    maker_order_id text NOT NULL,
    taker_account text NOT NULL,
    taker_client_order_id text NOT NULL,
    taker_order_id text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
COMMENT ON TABLE self_trades_prevented IS 'Every SelfTradePrevented of oms.events.v1.';
CREATE INDEX self_trades_prevented_by_symbol ON self_trades_prevented (symbol, at DESC);
"""

INSTRUMENTS = """
ALTER TABLE instruments
    ADD COLUMN odd_lots boolean NOT NULL DEFAULT false,
    ADD COLUMN min_price numeric(38,8) NOT NULL DEFAULT 0,
    ADD COLUMN max_price numeric(38,8) NOT NULL DEFAULT 0,
    ADD COLUMN stp text NOT NULL DEFAULT 'none',
    ADD COLUMN allocation text NOT NULL DEFAULT 'price_time',
    ADD COLUMN pro_rata_min numeric(38,8) NOT NULL DEFAULT 0,
    ADD COLUMN top_order boolean NOT NULL DEFAULT false,
    ADD COLUMN static_collar_bps integer NOT NULL DEFAULT 0,
    ADD COLUMN dynamic_collar_bps integer NOT NULL DEFAULT 0;
"""

REPORTS = """
CREATE VIEW v_order_types AS
    SELECT symbol, order_type, time_in_force, count(*) AS orders,
           count(*) FILTER (WHERE instructions IS NOT NULL) AS with_instructions,
           count(*) FILTER (WHERE instructions ? 'link') AS linked,
           count(*) FILTER (WHERE status = 'filled') AS filled,
           sum(cum_quantity) AS cum_quantity
    FROM orders GROUP BY symbol, order_type, time_in_force;
COMMENT ON VIEW v_order_types IS 'Orders of each symbol by type and time in force.';
"""


def upgrade() -> None:
    """Adds columns, a table and a view."""
    for statements in (ORDERS, INSTRUMENTS, REPORTS):
        op.get_bind().exec_driver_sql(statements)

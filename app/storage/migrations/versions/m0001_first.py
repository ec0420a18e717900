"""The first schema: orders and their events, trades, positions, reference data, reports.

Rules: what comes from a topic has the record's place as its key (`partition`, `log_offset`), so that no
record can be there twice; names are those of the messages (schemas/messages.py), `x_us` as timestamptz
`x_at` (`at_us` as `at`). A limit_price of a market order is null. Lists are paged by keyset: (entered_at,
order_id), (at, partition, log_offset), newest first; every list has its index.
"""

from alembic import op

revision = "0001"
down_revision = None

ORDERS = """
CREATE TABLE orders (
    order_id text PRIMARY KEY,
    account text NOT NULL,
    client_order_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    order_type text NOT NULL,
    time_in_force text NOT NULL,
    status text NOT NULL,
    version integer NOT NULL,
    quantity numeric(38,8) NOT NULL,
    limit_price numeric(38,8),
    cum_quantity numeric(38,8) NOT NULL,
    leaves_quantity numeric(38,8) NOT NULL,
    average_price numeric(38,8) NOT NULL,
    reason text NOT NULL,
    text text NOT NULL,
    entered_by text NOT NULL,
    door text NOT NULL,
    updated_at timestamptz NOT NULL,
    entered_at timestamptz NOT NULL,
    entry_id text NOT NULL
);
COMMENT ON TABLE orders IS 'Every order in its latest state.';
COMMENT ON COLUMN orders.client_order_id IS 'As last replaced.';
COMMENT ON COLUMN orders.entry_id IS 'The client_order_id under which it was entered.';
CREATE INDEX orders_by_time ON orders (entered_at DESC, order_id DESC);
CREATE INDEX orders_by_account ON orders (account, entered_at DESC, order_id DESC);
CREATE INDEX orders_by_symbol ON orders (symbol, entered_at DESC, order_id DESC);
CREATE INDEX orders_live ON orders (account, entered_at DESC, order_id DESC)
    WHERE status NOT IN ('filled', 'canceled', 'rejected', 'expired');
CREATE INDEX orders_by_client_order_id ON orders (client_order_id, account);
CREATE INDEX orders_by_entry_id ON orders (entry_id, account) WHERE entry_id <> client_order_id;

CREATE TABLE order_events (
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    event text NOT NULL,
    status text NOT NULL,
    account text NOT NULL,
    client_order_id text NOT NULL,
    order_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    order_type text NOT NULL,
    time_in_force text NOT NULL,
    version integer NOT NULL,
    quantity numeric(38,8) NOT NULL,
    limit_price numeric(38,8),
    cum_quantity numeric(38,8) NOT NULL,
    leaves_quantity numeric(38,8) NOT NULL,
    average_price numeric(38,8) NOT NULL,
    last_quantity numeric(38,8) NOT NULL,
    last_price numeric(38,8) NOT NULL,
    trade_id text NOT NULL,
    reason text NOT NULL,
    text text NOT NULL,
    request_offset bigint NOT NULL,
    request_id text NOT NULL,
    entered_by text NOT NULL,
    door text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
COMMENT ON TABLE order_events IS 'Every OrderEvent of oms.events.v1.';
CREATE INDEX order_events_by_order ON order_events (order_id, version);

CREATE TABLE trades (
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    trade_id text NOT NULL,
    symbol text NOT NULL,
    sequence bigint NOT NULL,
    price numeric(38,8) NOT NULL,
    quantity numeric(38,8) NOT NULL,
    aggressor_side text NOT NULL,
    maker_account text NOT NULL,
    maker_client_order_id text NOT NULL,
    maker_order_id text NOT NULL,
    taker_account text NOT NULL,
    taker_client_order_id text NOT NULL,
    taker_order_id text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
COMMENT ON TABLE trades IS 'Every record of oms.trades.v1.';
CREATE INDEX trades_by_time ON trades (at DESC, partition DESC, log_offset DESC);
CREATE INDEX trades_by_symbol ON trades (symbol, at DESC, partition DESC, log_offset DESC);
CREATE INDEX trades_by_maker ON trades (maker_account, at DESC, partition DESC, log_offset DESC);
CREATE INDEX trades_by_taker ON trades (taker_account, at DESC, partition DESC, log_offset DESC);
CREATE INDEX trades_by_maker_order ON trades (maker_order_id);
CREATE INDEX trades_by_taker_order ON trades (taker_order_id);
"""

MONEY = """
CREATE TABLE positions (
    account text NOT NULL,
    asset text NOT NULL,
    kind text NOT NULL,
    total numeric(38,8) NOT NULL,
    reserved numeric(38,8) NOT NULL,
    version bigint NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (account, asset, kind)
);
COMMENT ON TABLE positions IS 'What an account has of each asset, cash and holdings, as last written.';

CREATE VIEW balances AS
    SELECT account, asset AS currency, total, reserved, total - reserved AS free, version, at
    FROM positions WHERE kind = 'cash';

CREATE TABLE controls (
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    control text NOT NULL,
    account text NOT NULL,
    symbol text NOT NULL,
    control_id text NOT NULL,
    body jsonb NOT NULL,
    entered_by text NOT NULL,
    door text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
COMMENT ON TABLE controls IS 'Every record of oms.control.v1; body: the whole message, decimals as strings.';
CREATE INDEX controls_by_account ON controls (account, control, log_offset DESC);

CREATE TABLE control_reports (
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    control text NOT NULL,
    account text NOT NULL,
    symbol text NOT NULL,
    control_id text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    text text NOT NULL,
    control_offset bigint NOT NULL,
    entered_by text NOT NULL,
    door text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
COMMENT ON TABLE control_reports IS
    'The answer to each control: that at (partition, control_offset), for a lane answers what it heard.';
CREATE INDEX control_reports_by_control ON control_reports (partition, control_offset);

CREATE VIEW applied_controls AS
    SELECT c.partition, c.log_offset, c.control, c.account, c.symbol, c.control_id, c.body, c.entered_by,
           c.door, r.at
    FROM controls c
    JOIN control_reports r ON r.partition = c.partition AND r.control_offset = c.log_offset
    WHERE r.outcome = 'applied';

CREATE VIEW accounts AS
    WITH status AS (
        SELECT DISTINCT ON (account) account, body, at FROM applied_controls
        WHERE control = 'SetAccount' ORDER BY account, log_offset DESC
    ), limits AS (
        SELECT DISTINCT ON (account) account, body, at FROM applied_controls
        WHERE control = 'SetLimits' ORDER BY account, log_offset DESC
    )
    SELECT s.account,
           s.body->>'status' AS status,
           s.body->>'name' AS name,
           coalesce((l.body->>'max_order_quantity')::numeric(38,8), 0) AS max_order_quantity,
           coalesce((l.body->>'max_order_notional')::numeric(38,8), 0) AS max_order_notional,
           coalesce((l.body->>'allow_short')::boolean, false) AS allow_short,
           greatest(s.at, l.at) AS updated_at
    FROM status s LEFT JOIN limits l ON l.account = s.account;
COMMENT ON VIEW accounts IS
    'Accounts with status and limits, by the controls that were applied; a limit of 0: none.';

CREATE TABLE mass_cancel_reports (
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    account text NOT NULL,
    request_id text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL,
    outcome text NOT NULL,
    reason text NOT NULL,
    text text NOT NULL,
    orders integer NOT NULL,
    request_offset bigint NOT NULL,
    entered_by text NOT NULL,
    door text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (partition, log_offset)
);
CREATE INDEX mass_cancel_reports_by_account ON mass_cancel_reports (account, request_offset);
"""

OTHERS = """
CREATE TABLE instruments (
    symbol text PRIMARY KEY,
    name text NOT NULL,
    asset_class text NOT NULL,
    currency text NOT NULL,
    ticks jsonb NOT NULL,
    lot_size numeric(38,8) NOT NULL,
    multiplier numeric(38,8) NOT NULL,
    sector text NOT NULL,
    status text NOT NULL,
    lane integer,
    band_bps integer NOT NULL,
    max_quote_age_ms integer NOT NULL,
    at timestamptz NOT NULL
);
COMMENT ON COLUMN instruments.ticks IS
    '[{"from_price": "0", "tick_size": "0.01"}, ...], from the lowest price up.';

CREATE TABLE dead_letters (
    found_in text NOT NULL,
    found_partition integer NOT NULL,
    found_offset bigint NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    log_offset bigint NOT NULL,
    logged_at timestamptz NOT NULL,
    key bytea,
    value bytea,
    reason text NOT NULL,
    text text NOT NULL,
    at timestamptz NOT NULL,
    PRIMARY KEY (found_in, found_partition, found_offset)
);
COMMENT ON TABLE dead_letters IS
    'What could not be taken: every record of oms.dead-letters.v1, and what storage could not read itself.';
COMMENT ON COLUMN dead_letters.found_in IS
    'Topic where storage found the record; topic, partition, log_offset say where its bytes were.';
CREATE INDEX dead_letters_by_time ON dead_letters (at DESC);

CREATE TABLE kafka_positions (
    topic text NOT NULL,
    partition integer NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE kafka_positions IS
    'Next record to be read; written by storage alone, in the transaction of the rows before it.';

CREATE TABLE api_keys (
    key_hash text PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL CHECK (role IN ('trader', 'admin', 'read_only')),
    accounts text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);
COMMENT ON COLUMN api_keys.accounts IS 'Accounts in its scope; {*}: all.';
"""

REPORTS = """
CREATE VIEW v_daily_volume AS
    SELECT (t.at AT TIME ZONE 'UTC')::date AS day,
           t.symbol,
           count(*) AS trades,
           sum(t.quantity) AS quantity,
           sum(trunc(t.price * t.quantity * coalesce(i.multiplier, 1), 8)) AS notional,
           min(t.price) AS low,
           max(t.price) AS high,
           (array_agg(t.price ORDER BY t.sequence))[1] AS first,
           (array_agg(t.price ORDER BY t.sequence DESC))[1] AS last
    FROM trades t LEFT JOIN instruments i ON i.symbol = t.symbol
    GROUP BY 1, 2;
COMMENT ON VIEW v_daily_volume IS
    'Trading by UTC day and symbol; notional in the currency of the instrument.';

CREATE VIEW v_account_activity AS
    SELECT account,
           count(*) AS orders,
           count(*) FILTER (WHERE status NOT IN ('filled', 'canceled', 'rejected', 'expired')) AS live,
           count(*) FILTER (WHERE status = 'filled') AS filled,
           count(*) FILTER (WHERE status = 'canceled') AS canceled,
           count(*) FILTER (WHERE status = 'expired') AS expired,
           count(*) FILTER (WHERE status = 'rejected') AS rejected,
           sum(cum_quantity * average_price) AS traded,
           max(updated_at) AS last_at
    FROM orders GROUP BY account;
COMMENT ON VIEW v_account_activity IS
    'Orders of each account by how they stand; traded: filled quantity x average price.';

CREATE VIEW v_order_status AS
    SELECT symbol, status, count(*) AS orders, sum(quantity) AS quantity, sum(cum_quantity) AS cum_quantity,
           sum(leaves_quantity) AS leaves_quantity
    FROM orders GROUP BY symbol, status;
COMMENT ON VIEW v_order_status IS 'Orders of each symbol by status.';
"""


def upgrade() -> None:
    """Makes all tables and views."""
    for statements in (ORDERS, MONEY, OTHERS, REPORTS):
        op.get_bind().exec_driver_sql(statements)

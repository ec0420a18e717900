"""Metrics of the market process."""

from prometheus_client import Counter, Gauge

QUOTES = Counter("oms_market_quotes_total", "Quotes sent by the demo market.")
REQUESTS = Counter("oms_market_requests_total", "Requests of demo traders, by record name.", ["record"])
UP = Gauge("oms_market_up", "1 while the demo market is connected and trading, else 0.")

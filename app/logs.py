"""One line per event to stderr, the same shape in every process."""

import logging
import time

from app.settings import Settings

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"
# While a broker is away, aiokafka logs every attempt: up to thousands of lines a second.
SELDOM = "aiokafka"
SELDOM_S = 10.0


class Seldom(logging.Filter):
    """Lets each of aiokafka's messages pass once in ten seconds, whatever its values."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written."""
        if not record.name.startswith(SELDOM):
            return True
        what, now = (record.name, str(record.msg)), time.monotonic()
        if now - self._passed.get(what, -SELDOM_S) < SELDOM_S:
            return False
        self._passed[what] = now
        return True


def configure(settings: Settings) -> None:
    """Sets up the root logger; aiokafka's reconnect chatter is kept to errors, and to few of them."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=settings.log_level, format=FORMAT, datefmt="%Y-%m-%dT%H:%M:%S", force=True)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Seldom())
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger("httpx").setLevel(logging.WARNING)

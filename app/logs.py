"""One line per event to stderr, the same shape in every process."""

import logging
import time

from app.settings import Settings

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s"


def configure(settings: Settings) -> None:
    """Sets up the root logger; aiokafka's reconnect chatter is kept to errors."""
    logging.Formatter.converter = time.gmtime
    logging.basicConfig(level=settings.log_level, format=FORMAT, datefmt="%Y-%m-%dT%H:%M:%S", force=True)
    # It logs every attempt while a broker is away: thousands of lines a second.
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    logging.getLogger("httpx").setLevel(logging.WARNING)

"""A broker that is away must not fill the disk."""

import logging

from app.logs import Seldom


def record(name: str, message: str) -> logging.LogRecord:
    """A record with values in it."""
    return logging.LogRecord(name, logging.ERROR, "", 0, message, (), None)


def test_a_clients_repeated_complaint_is_written_once_and_others_always() -> None:
    seldom = Seldom()
    assert seldom.filter(record("aiokafka", "Unable connect to node with id %s"))
    assert not seldom.filter(record("aiokafka", "Unable connect to node with id %s"))
    assert seldom.filter(record("aiokafka", "Unable to update metadata from %s"))
    for _ in range(2):
        assert seldom.filter(record("app.gateway", "Kafka is away"))

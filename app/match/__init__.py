"""oms match: the matching engine as a filter for files, without Kafka."""

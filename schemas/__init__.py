"""What may be said: Avro schemas, messages, reasons, ids, numbers, lanes of keys, and the codec."""

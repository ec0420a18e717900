"""Lanes: exactly once and fast, inside a Faust worker.

A lane is partition i of every topic, the state of partition i, and one transactional producer. It
works in cycles: take what has arrived, hand it to the agents, then emit what they said, their changed
rows and the input offsets in one Kafka transaction. ARCHITECTURE.md gives the reasons.
"""

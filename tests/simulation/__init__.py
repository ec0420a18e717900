"""Deterministic simulation of lanes: the real app/lanes, agents and tables on an in-memory Kafka.

Only the edges are stand-ins: producer, consumers, group, transaction coordinator and time.
A seed fixes everything else: what is asked, how long each answer of the broker takes, who dies, freezes,
joins or leaves, and at which request to the broker. A failing history is a number, and can be made short.
"""

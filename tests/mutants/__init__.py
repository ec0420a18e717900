"""The mutation proof: each rule of the system is broken once, and `oms verify` must say which.

Rule: product code has no switch for this. A mutant patches the tables, the lane or a writer while they make a
history (tests/verify/engine.py; a real PostgreSQL and a real Redis for what is stored), then takes its
patches away, and the history goes through the verifier like any other. `python -m tests.mutants` runs all of
them and writes docs/mutants.md.

    break_    what a mutant is, and how it patches      delivery  lanes, transactions, changelogs
    day       the history that every mutant spoils       trading   matching: plain orders, books
    proof     runs mutants, tells what caught them       special   other order types, lists, auctions
    stores    PostgreSQL and Redis behind the topics     credit    accounts, risk, limits, controls
"""

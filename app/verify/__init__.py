"""`oms verify`: computes from the topics alone whether the system kept its promises.

Rule: nothing is shared with what is verified but `schemas/`; the book, the bookkeeping of cash and
holdings and the order's life are written here once more, as plainly as they can be.

    records  a record as it was read               findings   what was checked and what was found wrong
    ledger   what was asked, compactly             requests I1   answers to requests
                                                   fills      I4, I5  trades and their two sides
    orders   I2, I3, I9  the life of an order      replay     I6  a naive book replays the commands
    books    I7   changelog, events, book updates  money      I8  positions against fills and movements
    limits   I10  limits, kill switches, halts     verifier   all of these over one stream of records
    log      reads Kafka, merged by time           storage    PostgreSQL against the topics
    check    the whole run, I12                    report     table, JSON

Memory: 25 bytes per request (what it was, when, and where its answer is), 8 per order (a hash of its id, so
that no id is entered twice; more for rejected ones), and what lives: orders not finished, sides that wait
for each other, commands that matching has not spoken of, positions. Everything else is forgotten as soon
as it was checked.

Not covered: price bands and quote ages (how quotes interleave with commands is decided by cycles and is
in no topic), tick tables and lots (reference data keeps only its last state), I11 (REST and stream).
"""

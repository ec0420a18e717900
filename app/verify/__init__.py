"""`oms verify`: computes from the topics alone whether the system kept its promises.

Rule: nothing is shared with what is verified but `schemas/`; the bookkeeping of cash and holdings and the
order's life are written here once more, as plainly as they can be, and the book is the naive one of
docs/matching.md, `app/naive`, which was written apart from the engine. docs/verify.md says what is checked
and what cannot be seen, docs/mutants.md that it would be noticed.

    records  a record as it was read               findings   what was checked and what was found wrong
    ledger   what was asked, compactly             requests   I1  answers to requests
    numbers  a set of ids, compactly               fills      I4, I5  trades and their two sides
    orders   I2, I3, I9  the life of an order      replay     I6  a naive book replays the commands
    book     that book, in the pipeline's words    books      I7  changelog, events, book updates
    rows     I7  the other changelogs              money      I8  positions against fills and movements
    limits   I10  limits, kill switches, halts     entry      I10  lots, ticks, bands, quotes
    markets  instruments, as they were when        verifier   all of these over one stream of records
    log      reads Kafka, merged by time           check      one verification, I12 (lag)
    latest   what can be asked for at a door       agree      I11  doors: cached (Redis), rest (REST, stream)
    contents what doors and messages say, alike    storage    PostgreSQL against the topics
    follow   a live system                         live, report  terminal, lines, JSON

Memory: 1 byte per request that is answered (25 while it waits), some 16 bytes per order (a number of its
id, so that none enters twice), and what lives: orders not finished, sides that wait for each other, commands
that matching has not spoken of, positions, quotes of the last seconds. Everything else is forgotten as soon
as it was checked.
"""

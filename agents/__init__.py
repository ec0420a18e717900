"""Who acts: Faust agents that hear batches, ask a table, and emit what it says."""

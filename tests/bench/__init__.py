"""Speed and memory, measured: `make bench`. Ratios against a baseline in the same interleaved run."""

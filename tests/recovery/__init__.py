"""Recovery measured on a real broker: fail-over, handing over, scaling, and what changelogs grow to."""

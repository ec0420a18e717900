"""oms chaos: a system of its own, a workload, faults from a seeded schedule, then what oms verify says."""

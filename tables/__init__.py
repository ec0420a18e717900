"""What is remembered: state machines without clock, randomness, logging or I/O."""

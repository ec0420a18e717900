"""The front door for people and programs: REST and a WebSocket stream over the topics."""

"""The server under faults for a long time: real streams, faults on purpose, and the sum of what was lost."""

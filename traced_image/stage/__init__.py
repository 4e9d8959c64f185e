"""The demonstration's stage: servers that break by a script, and what telemetry says of them."""

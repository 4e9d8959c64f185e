"""The demonstration: servers that fail by a script, and what telemetry says of them."""

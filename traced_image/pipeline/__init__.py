"""The way of a call: facade, attempt loop and cycle, wire. It knows nothing of telemetry."""

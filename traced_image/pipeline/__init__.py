"""The path of a call: service, attempt loop, cycle, wire. The code here imports no telemetry."""

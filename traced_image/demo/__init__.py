"""The demonstration: a script breaks servers, and telemetry reports what failed."""

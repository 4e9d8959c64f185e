"""Probes of Glance servers: one, on a schedule, or when ``/probe`` asks for it."""

"""Faults by a schedule, real servers, constant calls, and checks of what became of them."""

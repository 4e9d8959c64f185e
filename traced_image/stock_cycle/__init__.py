"""This package's cycle of servers and its backoff for nova's and cinder's own code, if asked for.

`StockCycle` needs the extra ``instrument``. It is no part of `GlanceInstrumentor`, which observes
and changes nothing.
"""

from .switch import StockCycle, start_from_environment

__all__ = ["StockCycle", "start_from_environment"]

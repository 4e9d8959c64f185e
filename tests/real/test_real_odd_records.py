"""nova 34 makes of odd records what is written down, with which quicker tests compare."""

import os
import sys
from pathlib import Path

from parts.nova import NovaRaisedError

sys.path.append(str(Path(__file__).parents[1] / "pipeline"))

from odd_records import CALLS, NAMES, ask, read_results, serve, write_results


def test_nova_returns_what_is_written_down(nova):
    with serve() as url:

        def service(method, *args, **kwargs):
            try:
                return nova.call([url], method, *args, **kwargs)
            except NovaRaisedError as error:
                return error.kind.rpartition(".")[2]

        results = [
            {call: ask(call, number, service) for call in CALLS} for number in range(len(NAMES))
        ]
    if "RECORD_ODD" in os.environ:
        write_results(results)
    assert results == read_results()

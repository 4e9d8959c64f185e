"""The requests of one attempt over HTTP: headers, tokens, redirects, time, connections."""

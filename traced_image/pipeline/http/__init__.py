"""The HTTP requests of one attempt: headers, tokens, redirects, deadlines and connections."""

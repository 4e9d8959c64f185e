"""The command line, ``traced-image`` (extra ``cli``)."""

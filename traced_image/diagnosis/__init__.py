"""The diagnosis: which server fails, why, since when, who and what is hit, and what it costs."""

"""Draw, fetch, convert and load weights."""

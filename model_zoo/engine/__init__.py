"""Step a graph of layers through time, and skip every step that repeats."""

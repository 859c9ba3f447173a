"""Features of layers: computed once, kept and streamed."""

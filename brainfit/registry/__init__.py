"""Turn a name into a model, a recording or a benchmark."""

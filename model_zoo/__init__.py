"""Models that unroll in time: the graph engine, the ConvRNNs, and adapters for other networks."""

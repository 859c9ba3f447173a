"""The engine: steps a graph of layers through time and computes nothing twice."""

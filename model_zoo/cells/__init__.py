"""Recurrent cells, one file a cell; what they have in common is `model_zoo.graph.Cell`."""

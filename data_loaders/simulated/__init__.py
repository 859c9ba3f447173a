"""A recording that is rendered and computed here, so that its truth is known."""

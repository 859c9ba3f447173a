"""Networks that respond in time: the paper's, the engine that steps them, and adapters for your own."""

"""Train a network on a task, and resume exactly."""

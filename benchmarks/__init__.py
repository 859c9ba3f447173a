"""Named neural benchmarks: which recording, region and presentation, scored how."""

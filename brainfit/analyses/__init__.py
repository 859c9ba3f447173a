"""One scientific question a file, answered with the same pieces as a score."""

"""Whether the benchmark is right on a GPU and close to the machine's limit: ``python -m benchmarks.gpu``."""

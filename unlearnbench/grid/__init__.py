"""Many cells: chosen by a configuration, planned, run one after another, shown."""

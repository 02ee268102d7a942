"""Values that every room of the aggregator speaks of. Pure; no clock, no files."""

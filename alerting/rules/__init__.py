"""Rule files: loading, templating, the pure alert state machine, evaluation."""

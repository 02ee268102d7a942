"""HTTP: the Prometheus API, health, own metrics."""

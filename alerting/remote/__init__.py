"""Another store beside the own one: asked over Prometheus' HTTP API, written to by remote write."""

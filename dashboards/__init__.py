"""Generates the Grafana dashboards from the inventory. Offline."""

"""Every metric the exporter can export, each declared once. Pure data: collectors fill it, documents and
dashboards read it."""

"""Subjects that dashboards are made of: each function gives one section for what a view looks at."""

"""PromQL: parse, check what is supported, evaluate."""

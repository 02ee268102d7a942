"""The cluster's configuration: read, checked, frozen. Imports nothing of the other rooms."""

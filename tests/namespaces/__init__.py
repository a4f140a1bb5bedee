"""Tests of hubs in network namespaces."""

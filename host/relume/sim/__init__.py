"""Published intermittency policies beside ours, under one cost model (docs/SIMULATE.md)."""

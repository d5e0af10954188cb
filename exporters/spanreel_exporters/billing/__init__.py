"""Bills of providers, held against what was recorded."""

"""One module a kind of folder: `matches` tells it, `describe` makes its sections of a report."""

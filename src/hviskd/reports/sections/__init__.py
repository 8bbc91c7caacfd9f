"""One module a kind of folder: `matches` tells it, `describe` makes its section of a report; all runs share one."""

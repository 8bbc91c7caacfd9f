"""One module per kind of folder: `matches` recognises it, `describe` makes its report section; all runs share one."""

"""A file a subcommand of `clipkit`: parser and main, no mathematics."""

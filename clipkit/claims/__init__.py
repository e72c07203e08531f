"""Re-run a paper's claim over seeds, judge it, and make one page of all results."""

"""Claim C16: two stages of grouping beat one. Equal groups at the end (8), equal blocks, equal steps; frozen tokens and
the best-group loss in both. Runs of groups.py.
"""

claim = "C16"
runs_of = "groups"
arms = ("GroupViT", "two stages")
statements = [dict(says="two stages beat one", metric="mIoU", better="two stages", than="GroupViT")]

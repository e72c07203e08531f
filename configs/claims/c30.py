"""C30: textual prompts beat an action's bare name, above all zero-shot. 16 sentences ("a video of a person {}", …);
top-1 among the names of training, and among other words for the same actions, which no training sentence held. Runs of
actions.py.
"""

claim = "C30"
runs_of = "actions"
arms = ("KL", "bare name")  # KL trains and tests with the 16
statements = [
    dict(says="prompts help", metric="top1", better="KL", than="bare name"),
    dict(says="prompts help with unseen words", metric="unseen_top1", better="KL", than="bare name"),
]

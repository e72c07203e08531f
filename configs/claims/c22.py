"""C22: a teacher that sees each region at 1 and at 1.5 times its size beats one that sees it at 1. ViLD, novel AP50.
Runs of vild.py.

expect:   novel_AP50: vild (two crops) > one crop
"""

claim = "C22"
runs_of = "vild"
arms = ("vild", "one crop")
statements = [dict(says="two crops beat one", metric="novel_AP50", better="vild", than="one crop")]

"""C18: distillation lifts novel classes: ViLD has at least 1.3 times the novel AP50 of ViLD-text. Runs of vild.py.

expect:   novel_AP50: vild >= 1.3 text
"""

claim = "C18"
runs_of = "vild"
arms = ("text", "vild")
statements = [dict(says="distillation lifts novel classes", metric="novel_AP50", better="vild", than="text", times=1.3)]

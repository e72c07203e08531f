"""C21: a learned background beats the word "background". ViLD-text, AP50 over all 96 classes. Runs of vild.py.

expect:   AP50: text (its background is learned) > word background
"""

claim = "C21"
runs_of = "vild"
arms = ("text", "word background")
statements = [dict(says="a learned background beats the word", metric="AP50", better="text", than="word background")]

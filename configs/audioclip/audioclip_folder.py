"""Your own sounds: a folder a class with wav, flac, ogg, mp3 or films in it, whose names are words.

Command:   clipkit train audioclip/audioclip_folder.py --cfg-options variables.root=train variables.test_root=test
           clipkit predict work_dirs/audioclip_folder new.wav
Options:   variables.seconds=5.0        of a window; longer sounds have several
Hardware:  a CPU for some hundred sounds
Time:      not measured here
Expected:  not measured here
"""

_base_ = ["../_base_/audioclip.py"]

variables = dict(test_root="test_sounds")
val_dataloader = dict(dataset=dict(root="{test_root}"))
test_dataloader = dict(dataset=dict(root="{test_root}"))

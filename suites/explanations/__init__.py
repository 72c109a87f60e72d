"""Explanations of trained classifiers, and whether they may be believed. NumPy in, NumPy out, no framework.

`rows` and `written_out` hand out the attention that a trained model applies, `rollout` and `occlusion` say
how much each token or patch mattered, `aopc` how faithful that is, `randomisation` whether it speaks of the
model at all.
"""

"""What asv follows from commit to commit: the same catalogue and engine, asked by the installed command.

asv imports this folder by its basename and puts its parent first on the path, so nothing here imports
`suites`, and whatever is measured is reached through the `attnbench` of the environment that asv made: the
commit's own. asv takes every figure for one of which less is better; what is better when larger is therefore
followed as what it lacks (`unproven`, `accuracy_lost`).
"""

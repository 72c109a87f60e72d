"""Public packages' own attention behind our interface, a file a package: what ours is held against.

Each layer is built and called as ours are and runs the package's own code by its best documented path.
Where a package ships a layer with its own projections, that layer is used; a bare kernel is put into our
`ProjectedAttention`. A docstring says what differs in the amount of work or in the function.
"""

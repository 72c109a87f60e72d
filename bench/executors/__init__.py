"""Where jobs are carried out: on this machine (`local`) or on the nodes of a Ray cluster (`on_ray`)."""

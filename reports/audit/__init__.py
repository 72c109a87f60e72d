"""The audit: what training or serving a model costs in energy and carbon, how it is known, and whether
another variant would change it. `writing.write_audit` is the entry point; everything else feeds it."""

"""What `attnbench` can be told to do: runs that are measured, and what is told without measuring."""

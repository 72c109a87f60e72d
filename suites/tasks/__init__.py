"""One file a task: where its data comes from, how it is split, how it is scored."""

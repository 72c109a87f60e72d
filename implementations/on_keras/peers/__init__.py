"""Keras's own attention layers behind our interface, a file a layer: what our twins are held against."""

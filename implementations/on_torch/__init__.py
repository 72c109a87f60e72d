"""PyTorch implementations: one file a variant, and the models that hold them.

Kernels (`attend`): `softmax`, `sdpa`, `sliding_window`, `linear`. Layers: `performer`, `linformer`.
Models: `layer`, `encoder`, `classifiers`, `image_generator`. `weights` carries them across frameworks.
Nothing is imported here, so that naming one target does not load the others.
"""

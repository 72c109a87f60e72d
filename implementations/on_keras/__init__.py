"""Keras 3 twins of the variants, and the models that hold them.

Everything is written on `keras.ops`, so the backends TensorFlow, torch and JAX can all run it; the
backend is chosen by ``KERAS_BACKEND`` before Keras is first imported. Importing this package imports
no framework; its modules import Keras, except `document`, which needs NumPy only.
"""

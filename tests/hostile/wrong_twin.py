"""A Keras kernel that is not its torch twin: it forgets the scale."""

from keras import ops


def attend(query, key, value, *, causal=False, padding=None):
    scores = ops.matmul(query, ops.swapaxes(key, -1, -2))
    if causal:
        places = ops.arange(query.shape[2])
        scores = ops.where(places[:, None] >= places[None, :], scores, -1e30)
    if padding is not None:
        scores = ops.where(padding[:, None, None, :], scores, -1e30)
    return ops.matmul(ops.softmax(scores, axis=-1), value)

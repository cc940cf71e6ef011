"""Trains the network of this lab on a computer: python train.py, then relume convert.

Needs TensorFlow. Writes gestures.keras, samples.npy (float32 [n, 64, 1, 3], g), held_back.npy and
labels.npy.
"""

import keras
import numpy as np
from make_motions import NAMES, ROWS, motion

EACH, TRAINED = 400, 1300

rng = np.random.default_rng(7)
y = np.arange(EACH * len(NAMES)) % len(NAMES)
x = np.array([motion(rng, NAMES[n]) for n in y], np.float32)[:, :, None, :]

keras.utils.set_random_seed(7)
rows = keras.Input((ROWS, 1, 3), name="xyz")
made = keras.layers.Conv2D(8, (5, 1), strides=(2, 1), activation="relu", name="moments")(rows)
made = keras.layers.Conv2D(12, (5, 1), strides=(3, 1), activation="relu", name="course")(made)
made = keras.layers.Flatten()(made)
name = keras.layers.Dense(len(NAMES), activation="softmax", name="gesture")
model = keras.Model(rows, name(made))
model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x[:TRAINED], y[:TRAINED], epochs=20, batch_size=32, verbose=0)
print("right of %d movements that it has not seen: %.3f" % (
    len(x) - TRAINED, model.evaluate(x[TRAINED:], y[TRAINED:], verbose=0)[1]))
model.save("gestures.keras")
np.save("samples.npy", x[:200])
np.save("held_back.npy", x[TRAINED:])
np.save("labels.npy", y[TRAINED:])

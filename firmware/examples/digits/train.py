"""Trains the network of this example on a computer: python train.py, then relume convert.

Needs TensorFlow and scikit-learn. Writes digits.keras, samples.npy (float32 [200, 64], 0 to 1),
held_back.npy and labels.npy.
"""

import keras
import numpy as np
from sklearn.datasets import load_digits

TRAINED = 1400

data = load_digits()
order = np.random.default_rng(7).permutation(len(data.target))
x = (data.images[order].reshape(-1, 64) / 16).astype(np.float32)
y = data.target[order]
keras.utils.set_random_seed(7)
image = keras.Input((64,), name="image")
hidden = keras.layers.Dense(24, activation="relu", name="hidden")(image)
model = keras.Model(image, keras.layers.Dense(10, activation="softmax", name="digit")(hidden))
model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy")
model.fit(x[:TRAINED], y[:TRAINED], epochs=40, batch_size=64, verbose=0)
model.save("digits.keras")
np.save("samples.npy", x[:200])
np.save("held_back.npy", x[TRAINED:])
np.save("labels.npy", y[TRAINED:])

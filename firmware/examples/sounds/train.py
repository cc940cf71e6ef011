"""Trains the network of this lab on a computer: python train.py, then relume convert.

Needs TensorFlow. Writes sounds.keras, samples.npy (float32 [n, 16, 6, 1], 0 to 1), held_back.npy
and labels.npy.
"""

import keras
import numpy as np
from main import FRAME, FRAMES, LOUD, features
from make_sounds import NAMES, recorded, sound

EACH, TRAINED = 400, 1300

rng = np.random.default_rng(7)
x, y = [], []
for number in range(EACH * len(NAMES)):
    samples = recorded(sound(rng, NAMES[number % len(NAMES)]), LOUD, FRAMES * FRAME)
    if samples is not None:
        x.append(features(samples))
        y.append(number % len(NAMES))
x, y = np.array(x, np.float32)[..., None], np.array(y)

keras.utils.set_random_seed(7)
image = keras.Input((FRAMES, 6, 1), name="octaves")
made = keras.layers.Conv2D(8, (3, 6), strides=(2, 1), activation="relu", name="moments")(image)
made = keras.layers.Conv2D(12, (3, 1), strides=(2, 1), activation="relu", name="course")(made)
made = keras.layers.Flatten()(made)
model = keras.Model(image, keras.layers.Dense(len(NAMES), activation="softmax", name="sound")(made))
model.compile(keras.optimizers.Adam(4e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x[:TRAINED], y[:TRAINED], epochs=30, batch_size=32, verbose=0)
print("right of %d sounds that it has not seen: %.3f" % (
    len(x) - TRAINED, model.evaluate(x[TRAINED:], y[TRAINED:], verbose=0)[1]))
model.save("sounds.keras")
np.save("samples.npy", x[:200])
np.save("held_back.npy", x[TRAINED:])
np.save("labels.npy", y[TRAINED:])

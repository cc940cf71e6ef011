"""The demo's network: handwritten digits of 8 x 8 pixels, scikit-learn's data set.

TensorFlow and scikit-learn are imported here only, when the network is trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SEED = 7
TRAINED = 1400  # of 1,797 images; the rest is held back
EPOCHS = 30
SAMPLES = 200   # for the converter's calibration


@dataclass(frozen=True)
class Digits:
    """Files of the trained demo network.

    `keras`: the float network. `samples`: float32 [200, 8, 8, 1] in 0..1 for calibration.
    `held_back`: float32 [n, 8, 8, 1], never trained on. `labels`: int64 [n].
    """

    keras: Path
    samples: Path
    held_back: Path
    labels: Path

    @staticmethod
    def in_folder(folder: Path) -> Digits:
        return Digits(folder / "digits.keras", folder / "samples.npy",
                      folder / "held_back.npy", folder / "labels.npy")

    def exist(self) -> bool:
        return all(p.exists() for p in (self.keras, self.samples, self.held_back, self.labels))


def network(keras: Any) -> Any:
    """A residual CNN, 1.3 MMAC: so long that no charge of the demo's capacitor holds all of it."""
    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    h = layers.Conv2D(24, 3, padding="same", activation="relu", name="stem")(image)
    h = layers.Conv2D(32, 3, padding="same", activation="relu", name="wide")(h)
    h = layers.Conv2D(32, 3, padding="same", activation="relu", name="wider")(h)
    trunk = layers.MaxPool2D(name="pool")(h)
    h = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(trunk)
    h = layers.Conv2D(32, 1, name="pointwise")(h)
    h = layers.ReLU(name="join_relu")(layers.Add(name="join")([h, trunk]))
    h = layers.Conv2D(48, 3, padding="same", activation="relu", name="deep")(h)
    h = layers.GlobalAveragePooling2D(name="mean")(h)
    return keras.Model(image, layers.Dense(10, activation="softmax", name="digit")(h))


def train(folder: Path) -> Digits:
    """Trains with a fixed seed and writes the four files into `folder`."""
    import tensorflow as tf
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(SEED).permutation(len(data.target))
    x = (data.images[order, :, :, None] / 16.0).astype(np.float32)
    y = data.target[order].astype(np.int64)
    keras = tf.keras
    keras.utils.set_random_seed(SEED)
    model = network(keras)
    rate = keras.optimizers.schedules.CosineDecay(4e-3, EPOCHS * TRAINED // 64)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(x[:TRAINED], y[:TRAINED], epochs=EPOCHS, batch_size=64, verbose=0)
    files = Digits.in_folder(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(files.samples, x[:SAMPLES])
    np.save(files.held_back, x[TRAINED:])
    np.save(files.labels, y[TRAINED:])
    model.save(files.keras)
    return files

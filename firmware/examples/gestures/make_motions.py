"""The movements that the network learns, made of formulas: no sensor, no data set.

`python make_motions.py` writes demo.csv, in which each is made once, for the emulated board.
"""

import numpy as np

RATE, ROWS = 50, 64
NAMES = ("still", "wave", "circle", "shake")


def still(rng, t):
    """On a table."""
    return np.zeros((len(t), 3))


def wave(rng, t):
    """A hand to and fro, about twice a second; at both ends it comes up a little."""
    swing = np.sin(2 * np.pi * rng.uniform(1.3, 2.4) * t + rng.uniform(0, 6))
    size = rng.uniform(0.5, 1.1)
    return np.stack([size * swing, 0 * t, 0.3 * size * (swing**2 - 0.5)], 1)


def circle(rng, t):
    """Round and round on the table, either way."""
    angle = 2 * np.pi * rng.uniform(1.0, 2.2) * t * rng.choice([-1, 1]) + rng.uniform(0, 6)
    size = rng.uniform(0.4, 1.0)
    return np.stack([size * np.cos(angle), size * np.sin(angle), 0 * t], 1)


def shake(rng, t):
    """Fast and hard, along x."""
    hard = np.sin(2 * np.pi * rng.uniform(4.5, 7.5) * t + rng.uniform(0, 6)) * rng.uniform(0.9, 1.8)
    return np.stack([hard, 0.2 * hard, 0.1 * hard], 1)


def tilted(rng):
    """A board that is held not quite level: rotation matrix [3, 3]."""
    a, b = rng.normal(0, 0.15, 2)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    return x @ y


def motion(rng, name, rows=ROWS):
    """Acceleration [rows, 3] in g, with gravity, within the sensor's 2 g."""
    t = np.arange(rows) / RATE
    made = {"still": still, "wave": wave, "circle": circle, "shake": shake}[name](rng, t)
    made = (made + [0, 0, 1]) @ tilted(rng).T + rng.normal(0, 0.02, (rows, 3))
    return np.clip(made, -2, 2)


def write(path, rng):
    """Each for 3 seconds, as CSV."""
    made = np.concatenate([motion(rng, name, 3 * RATE) for name in NAMES])
    table = np.column_stack([np.arange(len(made)) / RATE, made])
    np.savetxt(path, table, "%.3f", ",", header="seconds,x,y,z", comments="")


if __name__ == "__main__":
    write("demo.csv", np.random.default_rng(3))
    print("demo.csv: " + ", ".join(NAMES))

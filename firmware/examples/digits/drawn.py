"""The digits that main.py draws, for a computer: writes drawn.npy, float32 [3, 64], 0 to 1."""

import numpy as np
from main import DRAWN, pixels

np.save("drawn.npy", np.array([pixels(text) for text in DRAWN], np.float32).reshape(-1, 64))

"""The sounds that the network learns, made of formulas: no microphone, no data set.

`python make_sounds.py` writes demo.wav, in which each is heard once, for the emulated board.
"""

import wave

import numpy as np

RATE = 4000  # samples a second
LENGTH = 1500
NAMES = ("clap", "whistle", "hum", "doorbell")


def clap(rng, t):
    """Noise that dies away, now and then twice."""
    fade = np.exp(-t / rng.uniform(0.01, 0.04))
    if rng.random() < 0.3:
        later = t - rng.uniform(0.08, 0.15)
        fade += np.where(later > 0, np.exp(-np.maximum(later, 0) / 0.02), 0)
    return rng.normal(0, 0.5, len(t)) * fade


def whistle(rng, t):
    """One high tone that glides."""
    pitch = rng.uniform(900, 1700) * (1 + rng.uniform(-0.5, 0.5) * t)
    return np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.minimum(1, t / rng.uniform(0.005, 0.03))


def hum(rng, t):
    """A voice's low tone, with overtones."""
    pitch = 2 * np.pi * rng.uniform(90, 240) * t
    tone = sum(np.sin(pitch * n + rng.uniform(0, 6)) / n ** rng.uniform(1, 2) for n in (1, 2, 3))
    return tone / 1.6 * np.minimum(1, t / rng.uniform(0.01, 0.05))


def doorbell(rng, t):
    """Ding, dong: two tones, each dying away, the second a third lower."""
    first, gap, fade = rng.uniform(500, 900), rng.uniform(0.1, 0.14), rng.uniform(0.04, 0.1)
    later = np.maximum(t - gap, 0)
    ding = np.sin(2 * np.pi * first * t) * np.exp(-t / fade) * (t < gap)
    return ding + np.sin(2 * np.pi * first * 0.8 * later) * np.exp(-later / fade) * (t >= gap)


def sound(rng, name):
    """Counts of a 12-bit ADC: a little silence, then the sound, over a room's noise."""
    t = np.arange(LENGTH) / RATE
    made = {"clap": clap, "whistle": whistle, "hum": hum, "doorbell": doorbell}[name](rng, t)
    counts = np.zeros(LENGTH + 100)
    counts[100:] = made * rng.uniform(500, 1800)
    mains = np.sin(2 * np.pi * 50 * np.arange(len(counts)) / RATE) * rng.uniform(0, 20)
    counts += 2048 + mains + rng.normal(0, rng.uniform(2, 8), len(counts))
    return np.clip(counts, 0, 4095).astype(int)


def recorded(counts, loud, length):
    """What the board's record() would have of it: it looks for a jump every 6 samples or so;
    None without one."""
    jumps = 6 * np.flatnonzero(np.abs(np.diff(counts))[::6] >= loud)
    if not len(jumps) or jumps[0] + 2 + length > len(counts):
        return None
    return counts[jumps[0] + 2 :][:length].tolist()


def write(path, rng):
    """Each sound once, one every second, as a WAV file."""
    quiet = np.full(RATE - LENGTH - 100, 2048)
    counts = np.concatenate([part for name in NAMES for part in (sound(rng, name), quiet)])
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(((counts - 2048) << 4).astype("<i2").tobytes())


if __name__ == "__main__":
    write("demo.wav", np.random.default_rng(3))
    print("demo.wav: " + ", ".join(NAMES))

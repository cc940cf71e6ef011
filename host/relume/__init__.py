"""relume: TFLite models on MicroPython boards whose power keeps dying."""

__version__ = "0.1.0"

"""Opens the NVM of the board that this runs on. Pins and regions come from board.toml, through
the firmware: nothing about a board stands here."""

try:
    import _relume
except ImportError:
    _relume = None

FRAM = 1
FLASH = 2
FILE = 3
FRAM_I2C = 4  # of a plan


def _file():
    """The unix port's NVM: the file RELUME_NVM, else relume_nvm.bin in the current folder."""
    import os

    return _relume.File(os.getenv("RELUME_NVM") or "relume_nvm.bin", _relume.FILE_SIZE)


def open_nvm(kind):
    """The NVM of a kind; OSError with one clear line when it does not answer."""
    if _relume is None:
        raise OSError("without the C module say where to commit: Session(model, nvm=fram)")
    if kind == FLASH:
        return _relume.Flash()
    if hasattr(_relume, "File"):
        return _file()
    if kind == FILE:
        raise OSError("the model is planned for a file, this board has none: plan it again")
    try:
        return _relume.FRAM_I2C() if kind == FRAM_I2C else _relume.FRAM()
    except _relume.BoardError:
        bus = " on I2C" if kind == FRAM_I2C else ""
        text = "no FRAM answers%s: check its wiring, or plan the model for flash" % bus
        raise OSError(text) from None


def any_nvm():
    """What this board keeps its state in: a file, else FRAM if it answers, else flash. I2C is
    asked only where a model is planned for it: its pins may be somebody else's."""
    models = range(len(_relume.slots())) if _relume else ()
    wired = any(_relume.slot_blob(i)[25] == FRAM_I2C for i in models)  # nvm_kind, SPEC 2.1
    for kind in (FRAM, FRAM_I2C) if wired else (FRAM,):
        try:
            return open_nvm(kind)
        except OSError:
            pass
    return open_nvm(FLASH)

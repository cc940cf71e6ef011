"""What another version of relume has left in a store that reads as empty (docs/SPEC.md 4.1).

Nothing of it can be taken up; that it was there is said once, before the next input takes its
place.
"""

_FLASH = 2
_SLOT, _PAGE = 64, 256
_LINE = (
    "NVM holds a checkpoint of another version of relume (%s):"
    " not taken up, the next input takes its place"
)


def line(nvm, base=0, size=-1):
    """One line about records of another version in [base, base + size) of an NVM, or None."""
    if size < 0:
        size = nvm.size - nvm.size // 8 - base
    step = _PAGE if nvm.kind == _FLASH else _SLOT
    for at in range(base, base + (size if nvm.kind == _FLASH else 2 * _SLOT), step):
        mark = nvm.read(at, 4)
        if mark[:3] in (b"RLR", b"RLS") and mark[3] != 0x31 and 0x30 <= mark[3] < 0x7F:
            return _LINE % str(mark, "ascii")
    return None

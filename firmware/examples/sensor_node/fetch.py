"""Prints the log of main.py as CSV: mpremote run fetch.py > log.csv"""

import struct

import relume

store = relume.Store()
log = store.get("log", b"")
count = struct.unpack_from("<I", store.get("stats", bytes(4)))[0]
print("reading,celsius")
for at in range(0, len(log), 2):
    number = count - (len(log) - at) // 2 + 1
    print("%d,%.2f" % (number, struct.unpack_from("<h", log, at)[0] / 100))

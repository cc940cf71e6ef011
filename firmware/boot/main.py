# Runs at every turn-on, before the REPL: goes on with an inference that a power cut interrupted,
# then serves the link. Whatever goes wrong here ends in the REPL.
import sys

# Boot time is energy: the frozen modules are not looked for in the filesystem first.
_path = sys.path[:]
sys.path[:] = [".frozen"]
try:
    from relume import boot

    sys.path[:] = _path
    boot.run()
except KeyboardInterrupt:
    pass
except Exception as error:
    print("relume: boot failed, here is the REPL")
    sys.print_exception(error)
finally:
    sys.path[:] = _path

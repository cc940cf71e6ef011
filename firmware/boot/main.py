# Runs at every turn-on, before the REPL: goes on with an inference that a power cut interrupted,
# then serves the link. Whatever goes wrong here ends in the REPL.
try:
    from relume import boot

    boot.run()
except KeyboardInterrupt:
    pass
except Exception as error:
    import sys

    print("relume: boot failed, here is the REPL")
    sys.print_exception(error)

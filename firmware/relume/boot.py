"""What the firmware does at every turn-on, before the REPL.

An inference that a power cut interrupted goes on at once. Then the user's own main.py runs if
there is one, else the link is served. Ctrl-C, or mpremote's way in, ends in the REPL."""

from . import link


def _user_main():
    """Runs main.py of the filesystem, which the frozen one shadows; False if there is none."""
    try:
        with open("/main.py") as file:
            source = file.read()
    except OSError:
        return False
    exec(compile(source, "main.py", "exec"), {"__name__": "__main__"})
    return True


def run():
    """Goes on with a pending inference, then hands over."""
    server = link.Server()
    if server.resume():
        finish(server)
    if server.console.open and not _user_main():
        print("relume", link.VERSION, "serves its link. Ctrl-C: REPL")
        link.serve(server)


def finish(server):
    """Steps to done. A host that speaks frames meanwhile is answered between two steps."""
    while server.busy() and server.console.open:
        for frame in server.console.receive():
            server.answer(*frame)
        if server.busy() and server.console.open:
            server.step()

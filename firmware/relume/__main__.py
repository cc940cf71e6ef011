# `micropython -m relume`: the unix port as a board.
from relume import boot

boot.run()

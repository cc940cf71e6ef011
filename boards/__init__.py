"""Board profiles (board.toml, one folder a board) and the virtual boards."""

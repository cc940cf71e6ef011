"""Reads digits drawn as text: copy digits.rlm and digits.txt to the board, then run this.

    relume plan digits.tflite -o digits.rlm
    relume deploy digits.rlm -p a0
    mpremote run main.py

On stock MicroPython as on the relume firmware. Draw your own: " .:*#" are five shades.
"""

import relume

SHADES = " .:*#"
DRAWN = (
    """
  .*#:
 .#:*#
 :*.#:
   :#
    *:
     *:
  :: :*
  .:##:
""",
    """
  ::#:
  ##*#
  :*:#
   ##*
  :##.
  #:#:
  #:#.
  :##
""",
    """
  :#*.
  #::*
 .*  *.
 .*  ::
 .*  .:
  *  ::
  *: #
  .##:
""",
)


def pixels(text):
    """8 x 8 numbers from 0 to 1."""
    rows = [row + " " * (8 - len(row)) for row in text.split("\n")[1:9]]
    return [[SHADES.index(shade) / 4 for shade in row] for row in rows]


def main():
    model = relume.Model("digits.rlm")
    print("model: %d bytes, %d of RAM, takes %s" % (model.len, model.ram_size, model.input_shape[0]))
    for text in DRAWN:
        output = model.predict(pixels(text))
        if model.resumed:  # the power went in the middle of the last one
            output = model.predict(pixels(text))
        print(text)
        print("this is", model.label(output), "(%d %%)" % round(100 * max(output)))


if __name__ == "__main__":
    main()

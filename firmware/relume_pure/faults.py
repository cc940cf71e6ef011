"""Faults of a blob by the C checker's number, from 1 on (native_modules/relume/blob_faults.h),
and statuses by their code, -1 and below (status.h).

Imported when one is told: the texts take RAM.
"""

STATUSES = """\
blob is shorter than it says
not a relume blob
blob of another version, plan it again
blob checksum differs
blob offset or size out of bounds
blob shapes do not fit together
blob tiles or segments do not cover the ops
blob op or kernel not supported
NVM does not answer or reads back wrong
NVM is too small for the plan
planned for another kind of NVM
checkpoint does not match its record
one unit of a tile does not fit a charge
not possible in this state
buffer of the wrong size
checkpoint belongs to another model
no room
argument out of range
"""

TEXTS = """\
shorter than a header
total_size is more than there is
magic is not RLUM
major version
minor version
flags
flags of a segment
metadata checksum
constants checksum
another blob than announced
header_size is not 128
total_size is not a multiple of 16
meta_size is not a multiple of 16
meta_size
nvm_kind
arena_size
scratch_size
n_tensors
n_ops
n_tiles
n_segments
section is not aligned
section outside the metadata
strings_size
strings do not end with 0
string outside the strings
input
output
tensor is not aligned
tensor outside the arena
tensor outside the home area
in0
in1
out
constants are not aligned
constants outside the blob
outside the stage
more multipliers than constants
multiplier or exponent
multiplier or exponent of in0
multiplier or exponent of in1
multiplier or exponent of the output
multiplier or left shift
left shift
diff_min
pad value
axes
window does not fit the scratch memory
scratch memory is too small
scratch memory of an op that has none
scratch memory outside the arena
no memory behind the tensors
row of the exact constants
place of a channel
GATHER: map falls
GATHER: reads outside its input
stage_off
stage_size
chunk
tile's op
tile leaves its op
tensor size
tensor size is not h * w * c
zero point
in1 belongs to ADD, MUL and CONCATENATION
unit_bytes
units
output clamp
depth_mult
w_size does not fit the shapes
chunk does not fit the shapes
windows do not fit the height
windows do not fit the width
dilation
channels are not in.c * depth_mult
input does not split into the output's rows
channels differ between input and output
channels
shape of an operand
flags
shapes of SOFTMAX differ
SOFTMAX over more than 4095 elements
padding at the top
padding at the left
padding in front of the channels
output does not fit the mean
count
sizes of input and output differ
GATHER: axes
GATHER: w_size or maps
CONCATENATION: runs
columns of a band
computed channels
channels are left out
channels requantised in full
limit of narrow sums
offset of the weights
unused parameter
FULLY_CONNECTED with constant channels
rows of a sparse filter
inputs of a window
inputs that make no whole words
rows of a half
columns of a half
bias of a kernel without it
exact constants of no channel
sizes of ADD differ
shift of ADD
constants that the kernel does not have
op writes its own input
op writes the input
tensor is written by two ops
in0 is not written by from0
in1 is not written by from1
output is written by no op
tile does not follow the one before
tiles do not cover the op
tile runs before its inputs
tile writes over what it reads
tile writes into its scratch memory
scratch memory over what the tile reads
stage over a tensor
stage over scratch
segments do not rise
segments do not cover the tiles
weights laid out for another core
input_type
output_type
tensor is not int8
op kind
kernel
"""


def text(number):
    """The text of a fault."""
    return _line(TEXTS, number, "unknown fault")


def status(code):
    """The text of a status."""
    return _line(STATUSES, -code, "unknown status")


def _line(texts, number, unknown):
    lines = texts.split("\n")
    return lines[number - 1] if 0 < number < len(lines) else unknown

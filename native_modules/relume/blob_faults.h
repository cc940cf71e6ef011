/* relume: all that can be wrong with a blob, by the status that it gives. The
 * checker knows the numbers alone; faults.c has the texts. */
#ifndef RELUME_BLOB_FAULTS_H
#define RELUME_BLOB_FAULTS_H

#define RL_FAULTS_TRUNCATED(FAULT) \
    FAULT(HEADER, "shorter than a header") \
    FAULT(TOTAL_SIZE, "total_size is more than there is")

#define RL_FAULTS_MAGIC(FAULT) \
    FAULT(MAGIC, "magic is not RLUM")

#define RL_FAULTS_VERSION(FAULT) \
    FAULT(MAJOR, "major version") \
    FAULT(MINOR, "minor version") \
    FAULT(HEADER_FLAGS, "flags") \
    FAULT(SEGMENT_FLAGS, "flags of a segment")

#define RL_FAULTS_CRC(FAULT) \
    FAULT(META_CRC, "metadata checksum") \
    FAULT(DATA_CRC, "constants checksum") \
    FAULT(ANOTHER, "another blob than announced")

#define RL_FAULTS_BOUNDS(FAULT) \
    FAULT(HEADER_SIZE, "header_size is not 128") \
    FAULT(TOTAL_SIZE_ALIGN, "total_size is not a multiple of 16") \
    FAULT(META_SIZE_ALIGN, "meta_size is not a multiple of 16") \
    FAULT(META_SIZE, "meta_size") \
    FAULT(NVM_KIND, "nvm_kind") \
    FAULT(ARENA_SIZE, "arena_size") \
    FAULT(SCRATCH_SIZE, "scratch_size") \
    FAULT(N_TENSORS, "n_tensors") \
    FAULT(N_OPS, "n_ops") \
    FAULT(N_TILES, "n_tiles") \
    FAULT(N_SEGMENTS, "n_segments") \
    FAULT(SECTION_ALIGN, "section is not aligned") \
    FAULT(SECTION, "section outside the metadata") \
    FAULT(STRINGS_SIZE, "strings_size") \
    FAULT(STRINGS_END, "strings do not end with 0") \
    FAULT(STRING, "string outside the strings") \
    FAULT(INPUT, "input") \
    FAULT(OUTPUT, "output") \
    FAULT(TENSOR_ALIGN, "tensor is not aligned") \
    FAULT(TENSOR_ARENA, "tensor outside the arena") \
    FAULT(TENSOR_HOME, "tensor outside the home area") \
    FAULT(IN0, "in0") \
    FAULT(IN1, "in1") \
    FAULT(OUT, "out") \
    FAULT(ARRAY_ALIGN, "constants are not aligned") \
    FAULT(ARRAY, "constants outside the blob") \
    FAULT(ARRAY_STAGE, "outside the stage") \
    FAULT(COUNT, "more multipliers than constants") \
    FAULT(MULTIPLIER, "multiplier or exponent") \
    FAULT(MULTIPLIER_IN0, "multiplier or exponent of in0") \
    FAULT(MULTIPLIER_IN1, "multiplier or exponent of in1") \
    FAULT(MULTIPLIER_OUT, "multiplier or exponent of the output") \
    FAULT(SOFTMAX_MULTIPLIER, "multiplier or left shift") \
    FAULT(LEFT_SHIFT, "left shift") \
    FAULT(DIFF_MIN, "diff_min") \
    FAULT(PAD_VALUE, "pad value") \
    FAULT(MEAN_AXES, "axes") \
    FAULT(WINDOW_SCRATCH, "window does not fit the scratch memory") \
    FAULT(SCRATCH, "scratch memory is too small") \
    FAULT(NO_SCRATCH, "scratch memory of an op that has none") \
    FAULT(SCRATCH_ARENA, "scratch memory outside the arena") \
    FAULT(NO_TAIL, "no memory behind the tensors") \
    FAULT(EXACT_ROW, "row of the exact constants") \
    FAULT(PLACE, "place of a channel") \
    FAULT(GATHER_FALLS, "GATHER: map falls") \
    FAULT(GATHER_REACH, "GATHER: reads outside its input") \
    FAULT(STAGE_OFF, "stage_off") \
    FAULT(STAGE_SIZE, "stage_size") \
    FAULT(CHUNK, "chunk") \
    FAULT(TILE_OP, "tile's op") \
    FAULT(TILE_UNITS, "tile leaves its op")

#define RL_FAULTS_SHAPE(FAULT) \
    FAULT(TENSOR_SIZE, "tensor size") \
    FAULT(TENSOR_SHAPE, "tensor size is not h * w * c") \
    FAULT(ZERO_POINT, "zero point") \
    FAULT(IN1_KIND, "in1 belongs to ADD, MUL and CONCATENATION") \
    FAULT(UNIT_BYTES, "unit_bytes") \
    FAULT(UNITS, "units") \
    FAULT(CLAMP, "output clamp") \
    FAULT(DEPTH_MULT, "depth_mult") \
    FAULT(W_SIZE, "w_size does not fit the shapes") \
    FAULT(CHUNK_BLOCK, "chunk does not fit the shapes") \
    FAULT(WINDOW_HEIGHT, "windows do not fit the height") \
    FAULT(WINDOW_WIDTH, "windows do not fit the width") \
    FAULT(DILATION, "dilation") \
    FAULT(DEPTH_CHANNELS, "channels are not in.c * depth_mult") \
    FAULT(DENSE_ROWS, "input does not split into the output's rows") \
    FAULT(CHANNELS_DIFFER, "channels differ between input and output") \
    FAULT(DEPTHWISE_CHANNELS, "channels") \
    FAULT(OPERAND, "shape of an operand") \
    FAULT(FLAGS, "flags") \
    FAULT(SOFTMAX_SHAPE, "shapes of SOFTMAX differ") \
    FAULT(SOFTMAX_SIZE, "SOFTMAX over more than 4095 elements") \
    FAULT(PAD_TOP, "padding at the top") \
    FAULT(PAD_LEFT, "padding at the left") \
    FAULT(PAD_FRONT, "padding in front of the channels") \
    FAULT(MEAN_SHAPE, "output does not fit the mean") \
    FAULT(MEAN_COUNT, "count") \
    FAULT(SIZES_DIFFER, "sizes of input and output differ") \
    FAULT(GATHER_AXES, "GATHER: axes") \
    FAULT(GATHER_MAPS, "GATHER: w_size or maps") \
    FAULT(CONCATENATION_RUNS, "CONCATENATION: runs") \
    FAULT(BAND, "columns of a band") \
    FAULT(LIVE, "computed channels") \
    FAULT(LEFT_OUT, "channels are left out") \
    FAULT(EXACT_CHANNELS, "channels requantised in full") \
    FAULT(NARROW_LIMIT, "limit of narrow sums") \
    FAULT(WEIGHT_OFFSET, "offset of the weights") \
    FAULT(UNUSED, "unused parameter") \
    FAULT(DENSE_SCATTER, "FULLY_CONNECTED with constant channels") \
    FAULT(SPARSE_ROWS, "rows of a sparse filter") \
    FAULT(INPUTS, "inputs of a window") \
    FAULT(SPARSE_WORDS, "inputs that make no whole words") \
    FAULT(HALF_ROWS, "rows of a half") \
    FAULT(HALF_COLUMNS, "columns of a half") \
    FAULT(NO_BIAS, "bias of a kernel without it") \
    FAULT(NO_EXACT, "exact constants of no channel") \
    FAULT(ADD_SIZES, "sizes of ADD differ") \
    FAULT(ADD_SHIFT, "shift of ADD") \
    FAULT(NO_ARRAY, "constants that the kernel does not have")

#define RL_FAULTS_PLAN(FAULT) \
    FAULT(OWN_INPUT, "op writes its own input") \
    FAULT(WRITES_INPUT, "op writes the input") \
    FAULT(TWO_WRITERS, "tensor is written by two ops") \
    FAULT(FROM0, "in0 is not written by from0") \
    FAULT(FROM1, "in1 is not written by from1") \
    FAULT(OUTPUT_UNWRITTEN, "output is written by no op") \
    FAULT(TILE_ORDER, "tile does not follow the one before") \
    FAULT(TILE_COVER, "tiles do not cover the op") \
    FAULT(TILE_INPUTS, "tile runs before its inputs") \
    FAULT(OVER_INPUT, "tile writes over what it reads") \
    FAULT(OVER_SCRATCH, "tile writes into its scratch memory") \
    FAULT(SCRATCH_INPUT, "scratch memory over what the tile reads") \
    FAULT(STAGE_TENSOR, "stage over a tensor") \
    FAULT(STAGE_SCRATCH, "stage over scratch") \
    FAULT(SEGMENT_ORDER, "segments do not rise") \
    FAULT(SEGMENT_COVER, "segments do not cover the tiles")

#define RL_FAULTS_KIND(FAULT) \
    FAULT(CORE, "weights laid out for another core") \
    FAULT(INPUT_TYPE, "input_type") \
    FAULT(OUTPUT_TYPE, "output_type") \
    FAULT(DTYPE, "tensor is not int8") \
    FAULT(OP_KIND, "op kind") \
    FAULT(KERNEL, "kernel")

/* END(status) behind the faults of each status. */
#define RL_FAULTS(FAULT, END) \
    RL_FAULTS_TRUNCATED(FAULT) END(TRUNCATED) \
    RL_FAULTS_MAGIC(FAULT) END(MAGIC) \
    RL_FAULTS_VERSION(FAULT) END(VERSION) \
    RL_FAULTS_CRC(FAULT) END(CRC) \
    RL_FAULTS_BOUNDS(FAULT) END(BOUNDS) \
    RL_FAULTS_SHAPE(FAULT) END(SHAPE) \
    RL_FAULTS_PLAN(FAULT) END(PLAN) \
    RL_FAULTS_KIND(FAULT) END(KIND)

#define RL_FAULT_NUMBER(name, text) RL_FAULT_##name,
#define RL_FAULT_END(status) \
    RL_FAULT_END_##status, RL_FAULT_LAST_##status = RL_FAULT_END_##status - 1,

/* RL_FAULT_NAME, in this order from 1 on. */
typedef enum {
    RL_FAULT_NONE,
    RL_FAULTS(RL_FAULT_NUMBER, RL_FAULT_END)
    RL_FAULTS_END
} rl_fault;

#endif

/* relume: DEPTHWISE_CONV_2D 3 x 3, Cortex-M4. Four channels at a time: rows
 * of the input are woven into words of two rows, p[1] bands at most a pass,
 * then each channel runs over them as a plane.
 *
 * Scratch: four zero points, then [p[1] + 1][columns][4] words. */
#include "m4.h"

typedef struct {
    const rl_call *call;
    int8_t        *zero;    /* [4] */
    uint32_t      *plane;   /* [pair row][columns][4] */
    uint32_t       columns; /* of the input, padding included */
    int32_t        x;       /* first of them */
    uint32_t       left, inner; /* columns of padding, of the input */
    uint32_t       channel;
} band;

/* A rectangle of output pixels. */
typedef struct {
    uint32_t row, rows, column, columns;
} area;

static RL_HOT const int8_t *row_at(const band *at, int32_t y, uint32_t *step)
{
    const rl_tensor *in = at->call->in0;

    if (y < 0 || y >= in->h) {
        *step = 0;
        return at->zero;
    }
    *step = in->c;
    return at->call->a
        + ((uint32_t)y * in->w + (uint32_t)(at->x + (int32_t)at->left))
              * in->c + at->channel;
}

static RL_HOT uint32_t *pad(uint32_t *to, uint32_t columns, uint32_t word)
{
    for (; columns; columns--, to += 4) {
        to[0] = word;
        to[1] = word;
        to[2] = word;
        to[3] = word;
    }
    return to;
}

/* Pair rows [0, n) whose first input row is y. */
static RL_HOT void weave(const band *at, int32_t y, uint32_t n)
{
    uint32_t *to = at->plane;
    uint32_t zero = ((uint32_t)at->zero[0] & 0xFFFFu) * 0x10001u;

    for (; n; n--, y += 2) {
        uint32_t a_step, b_step;
        const int8_t *a = row_at(at, y, &a_step);
        const int8_t *b = row_at(at, y + 1, &b_step);

        to = pad(to, at->left, zero);
        if (at->inner) {
            rl_m4_weave(to, a, b, at->inner, a_step, b_step);
            to += 4 * at->inner;
        }
        to = pad(to, at->columns - at->left - at->inner, zero);
    }
}

static RL_HOT void run(const rl_m4_plane *plane, uint32_t stride)
{
    int full = (plane->table[RL_M4_DEPTHWISE_TABLE - 1u] & RL_M4_FULL) != 0;

    if (stride == 2) {
        (full ? rl_m4_plane_two_full : rl_m4_plane_two)(plane);
    } else {
        (full ? rl_m4_plane_one_full : rl_m4_plane_one)(plane);
    }
}

/* Two rows a band, and the odd last row on top of itself. */
static RL_HOT void run_pairs(rl_m4_plane *plane, uint32_t rows)
{
    plane->bands = rows >> 1;
    if (plane->bands) {
        run(plane, 1);
    }
    if (rows & 1u) {
        plane->x += plane->bands * plane->x_row / 4u;
        plane->y += 2u * plane->bands * plane->y_row;
        plane->y_row = 0;
        plane->bands = 1;
        run(plane, 1);
    }
}

/* `rows` output rows of four channels from their woven rows. */
static RL_HOT void planes(const band *at, const area *part, uint32_t row,
                          uint32_t rows)
{
    const rl_call *call = at->call;
    uint32_t c = call->out->c;
    uint32_t i;
    rl_m4_plane plane;

    plane.x_row = 16u * at->columns;
    plane.y_column = c;
    plane.columns = part->columns;
    for (i = 0; i < 4; i++) {
        plane.x = at->plane + i;
        plane.table = (const uint32_t *)(const void *)call->w
            + (at->channel + i) * RL_M4_DEPTHWISE_TABLE;
        plane.y = (uint8_t *)call->y + at->channel + i
            + (row * call->out->w + part->column) * c;
        plane.y_row = call->out->w * c;
        plane.bands = rows;
        if (call->op->sh == 2) {
            run(&plane, 2);
        } else {
            run_pairs(&plane, rows);
        }
    }
}

static RL_HOT void compute(band *at, const area *part)
{
    const rl_op *op = at->call->op;
    int32_t width = at->call->in0->w;
    uint32_t most = (uint32_t)op->p[1] * (op->sh == 1 ? 2u : 1u);
    uint32_t row, done;
    int32_t end;

    at->columns = (part->columns - 1u) * op->sw + 3u;
    at->x = (int32_t)(part->column * op->sw) - op->pad_left;
    end = at->x + (int32_t)at->columns;
    at->left = at->x < 0 ? (uint32_t)-at->x : 0;
    end = end < width ? end : width;
    at->inner = (uint32_t)(end - at->x) - at->left;
    for (done = 0; done < part->rows; done += most) {
        uint32_t rows = part->rows - done;

        rows = rows < most ? rows : most;
        row = part->row + done;
        for (at->channel = 0; at->channel < at->call->out->c;
             at->channel += 4) {
            weave(at, (int32_t)(row * op->sh) - op->pad_top,
                  (op->sh == 1 ? (rows + 1u) >> 1 : rows) + 1u);
            planes(at, part, row, rows);
        }
    }
}

/* A tile is the end of a row, whole rows, and the start of a row. */
RL_HOT void rl_m4_depthwise_tile(const rl_call *call)
{
    uint32_t width = call->out->w;
    uint32_t left = call->count;
    uint32_t i;
    area part;
    band at;

    at.call = call;
    at.zero = (int8_t *)call->scratch;
    at.plane = (uint32_t *)(void *)call->scratch + 1;
    for (i = 0; i < 4; i++) {
        at.zero[i] = (int8_t)call->in0->zero_point;
    }
    part.row = call->first / width;
    part.column = call->first - part.row * width;
    while (left) {
        part.rows = 1;
        part.columns = width - part.column;
        if (part.column == 0 && left >= width) {
            part.rows = left / width;
        } else if (part.columns > left) {
            part.columns = left;
        }
        compute(&at, &part);
        left -= part.rows * part.columns;
        part.row += part.rows;
        part.column = 0;
    }
}

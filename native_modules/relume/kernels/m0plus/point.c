/* relume: CONV_2D of one tap on Cortex-M0+: a list a pixel. Where there are
 * few inputs a pixel, what is around the sums counts. */
#include "conv.h"

RL_HOT void rl_m0_point_row(rl_m0_kernel *m, const int8_t *x, uint32_t n,
                            int8_t *to)
{
    uint32_t step = m->call->op->sw * m->call->in0->c;
    uint32_t pixel = m->call->out->c;
    rl_m0_source source;

    rl_m0_run_begin(m, &source);
    while (n--) {
        uint32_t total = rl_m0_run_of(m, &source, x);

        rl_m0_sum_runs(m, total);
        rl_m0_finish_pixel(m, total, to);
        x += step;
        to += pixel;
    }
}

/* relume: one long read of the flash controller, emptied by DMA (RP2040
 * datasheet 4.10): 8 SPI clocks a word, where a miss of the XIP cache takes 20.
 * From begin to end nothing may touch flash: who calls runs from SRAM, with
 * interrupts off. */
#ifndef RELUME_BURST_RP2_H
#define RELUME_BURST_RP2_H

#include <stdbool.h>
#include <stdint.h>

#include "hardware/structs/dma.h"
#include "hardware/structs/ssi.h"
#include "hardware/regs/dreq.h"

#define RL_BURST static inline __attribute__((always_inline))

/* The controller goes on for `frames` words a read, and asks the DMA. */
RL_BURST void rl_burst_set(uint32_t frames, uint32_t dma) {
    ssi_hw->ssienr = 0;
    ssi_hw->ctrlr1 = frames - 1u;
    ssi_hw->dmacr = dma;
    ssi_hw->ssienr = 1;
}

/* words, 1 to 65536, of flash from byte `at` on. */
RL_BURST void rl_burst_begin(uint32_t channel, uint32_t *to, uint32_t at,
                             uint32_t words) {
    uint32_t mode = ssi_hw->spi_ctrlr0 >> SSI_SPI_CTRLR0_XIP_CMD_LSB;
    dma_channel_hw_t *dma = &dma_hw->ch[channel];

    while (ssi_hw->sr & SSI_SR_BUSY_BITS) {
    }
    rl_burst_set(words, SSI_DMACR_RDMAE_BITS);
    dma->read_addr = (uint32_t)&ssi_hw->dr0;
    dma->write_addr = (uint32_t)to;
    dma->transfer_count = words;
    dma->ctrl_trig = DMA_CH0_CTRL_TRIG_BSWAP_BITS /* frames come MSB first */
        | DREQ_XIP_SSIRX << DMA_CH0_CTRL_TRIG_TREQ_SEL_LSB
        | channel << DMA_CH0_CTRL_TRIG_CHAIN_TO_LSB
        | DMA_CH0_CTRL_TRIG_INCR_WRITE_BITS
        | DMA_CH0_CTRL_TRIG_DATA_SIZE_VALUE_SIZE_WORD
            << DMA_CH0_CTRL_TRIG_DATA_SIZE_LSB
        | DMA_CH0_CTRL_TRIG_IRQ_QUIET_BITS | DMA_CH0_CTRL_TRIG_EN_BITS;
    /* Address and mode bits start the read. */
    ssi_hw->dr0 = at << 8 | mode;
}

/* Flash can be read again; false: not all words came. */
RL_BURST bool rl_burst_end(uint32_t channel, uint32_t words) {
    dma_channel_hw_t *dma = &dma_hw->ch[channel];
    uint32_t patience = 64u * words + 1024u; /* of several cycles */
    bool whole;

    do {
        whole = (dma->ctrl_trig & DMA_CH0_CTRL_TRIG_BUSY_BITS) == 0;
    } while (!whole && patience--);
    if (!whole) {
        dma_hw->abort = 1u << channel;
        while (dma_hw->abort & 1u << channel) {
        }
    }
    rl_burst_set(1, 0);
    return whole;
}

#endif

"""Negative controls: each mistake that the store of keys and values could hold is found.

SECURITY K1, K2, K3, K4.
"""

from __future__ import annotations

import pytest

from tests.kv import kvharness as kv
from tests.kv.kvharness import Fault

# What finds a fault: (kind, arguments of kvcuts).
CUTS_FRAM = ("fram", "--steps", "40", "--after", "2")
CUTS_FLASH = ("flash", "--steps", "60", "--seeds", "3", "--after", "2")
REFUSE = ("fram", "--refuse", "1", "--steps", "12")
DEAF = ("fram", "--deaf", "1", "--steps", "8")
DEAF_FLASH = ("flash", "--deaf", "1", "--steps", "8")
ROT = ("fram", "--rot", "1")
WEAR = ("flash", "--wear", "9000", "--room", "20480")


def api(call: str, kind: str = "fram", *arguments: str) -> tuple[str, ...]:
    """One call of kvapi.c."""
    return (kind, "--api", call, "--room", "16384", *arguments)


FAULTS = (
    # The log.
    (Fault("every_page_ends_a_commit", "kv_log.c",
           (("            rl_status status = flush(kv, snapshot, 0);",
             "            rl_status status = flush(kv, snapshot, 1);"),)), CUTS_FRAM),
    (Fault("page_crc_ignored", "kv_log.c",
           (("    *yes = crc == head->crc;", "    *yes = 1;"),)), CUTS_FRAM),
    (Fault("payload_outside_the_crc", "kv_log.c",
           (("        crc = rl_crc32(crc, part, n);\n        left -= n;", "        left -= n;"),
            ("    head.crc = rl_crc32(head_crc(&head), payload, used);",
             "    head.crc = head_crc(&head);"))), CUTS_FRAM),
    (Fault("older_commit_taken", "kv_log.c",
           (("rl_record_after(head.seq, newest->seq)",
             "rl_record_after(newest->seq, head.seq)"),)), CUTS_FRAM),
    (Fault("torn_newest_not_passed_over", "kv_log.c",
           (("            status = scan(kv, 1, head, ring, found);",
             "            *found = 0;"),)), CUTS_FRAM),
    (Fault("page_without_end_taken_for_newest", "kv_log.c",
           (("        good = good && head.end\n            && ", "        good = good && "),)),
     CUTS_FRAM),
    (Fault("snapshot_not_noted", "kv_log.c",
           (("        kv->base = first;\n", ""),)), CUTS_FRAM),
    (Fault("home_not_moved_for_the_ring", "kv_log.c",
           (("        log->newest.home = rl_kv_offset(kv, kv->home);\n    }\n    log->newest.seq",
             "    }\n    log->newest.seq"),)), CUTS_FLASH),
    (Fault("written_page_not_read_back", "kv_log.c",
           (("    return rl_store_verify(log, at, log->page, n);", "    return RL_OK;"),)), DEAF),
    (Fault("ring_not_closed", "kv_log.c",
           (("    return ring + 1u == rl_kv_pages(kv) ? 0 : ring + 1u;",
             "    return ring + 1u;"),)), CUTS_FRAM),
    (Fault("chain_of_any_length", "kv_log.c",
           (("    uint32_t n = rl_kv_pages(kv) / 2u;", "    uint32_t n = rl_kv_pages(kv);"),)),
     ("fram", "--room", "4096", "--most", "100", "--steps", "40", "--after", "2")),
    (Fault("sectors_of_a_run_miscounted", "kv_log.c",
           (("        while (span + need > rl_ring_sectors(&kv->log)) {",
             "        while (span + need > rl_ring_sectors(&kv->log) + 1u) {"),)),
     api("full", "flash")),
    # Opening.
    (Fault("broken_chain_accepted", "kv_open.c",
           (("        if (!yes && (left == 1u || first == kv->base)) {\n"
             "            return RL_E_DAMAGED;\n        }\n", ""),)), ROT),
    (Fault("long_chain_accepted", "kv_open.c",
           (("    if (left > rl_kv_most(kv)) {\n        return RL_E_DAMAGED;\n    }\n", ""),)),
     ("fram", "--api", "long_chain", "--room", "32768")),
    (Fault("unfinished_commit_applied", "kv_log.c",
           (("        *bytes += head.used;\n        if (head.end) {",
             "        *bytes += head.used;\n        if (head.end || head.used == 228u) {"),)),
     CUTS_FRAM),
    (Fault("key_length_not_checked", "kv_open.c",
           (("e.key_n == 0 || e.key_n > RL_KV_KEY || ", ""),)), ("fram", "--noise", "20000")),
    (Fault("equal_hashes_are_equal_keys", "kv_open.c",
           (("        if (status != RL_OK || rl_bytes_equal(other, key, key_n)) {",
             "        if (status != RL_OK || other[0] != 0xEE) {"),)), api("collision")),
    (Fault("gone_keys_stay", "kv_open.c",
           (("        if (at < kv->count) {\n            drop(kv, at);\n        }\n", ""),)),
     CUTS_FRAM),
    (Fault("replaced_bytes_counted_twice", "kv_open.c",
           (("    } else {\n        kv->live -= rl_kv_bytes_of(&kv->index[at]);\n    }",
             "    }"),)), CUTS_FRAM),
    (Fault("index_overrun", "kv_open.c",
           (("    if (at == kv->room) {\n        return RL_E_FULL;\n    }\n", ""),)),
     api("index_full")),
    (Fault("probe_left_out", "kv_open.c",
           ((": rl_store_bytes_probe(log);", ": RL_OK;"),)), api("smaller_chip")),
    (Fault("wear_of_lost_headers_restarts", "kv_open.c",
           (("    return rl_kv_counts(kv, &least, &log->wear);",
             "    (void)least;\n    return RL_OK;"),)),
     WEAR),
    # Commits.
    (Fault("delta_beyond_the_chain", "kv.c",
           (("rl_kv_distance(kv, kv->home, *ring) + n <= most", "n <= most"),
            (" || n > most - chain;", ";"))), CUTS_FRAM),
    (Fault("snapshot_over_the_chain", "kv.c",
           (("    *ring = kv->log.newest.magic != 0 ? rl_kv_next(kv, kv->log.at) : 0;",
             "    *ring = 0;"),)), CUTS_FRAM),
    (Fault("snapshot_forgets_the_rest", "kv.c",
           (("            status = carry(kv, &kv->index[i]);", "            w->delta;"),)),
     CUTS_FRAM),
    (Fault("replaced_entries_carried", "kv.c",
           (("        if (!(kv->index[i].key_n & RL_KV_GONE) && status == RL_OK) {",
             "        if (status == RL_OK) {\n"
             "            kv->index[i].key_n &= RL_KV_GONE - 1u;"),)), CUTS_FRAM),
    (Fault("spoilt_entry_carried", "kv.c",
           (("    return status == RL_OK && crc != item.crc ? RL_E_DAMAGED : status;",
             "    (void)crc;\n    return status;"),
            ("    status = rl_kv_put(kv, 1, &item, sizeof item);\n    uint32_t left",
             "    item.crc = item.crc;\n    status = rl_kv_put(kv, 1, &item, sizeof item);\n"
             "    uint32_t left"))), api("rot_while_open", "fram", "--steps", "12")),
    (Fault("spoilt_value_read", "kv.c",
           (("                            || crc != item.crc)) {",
             "                            )) {"),)),
     api("rot_while_open", "fram", "--steps", "12")),
    (Fault("too_much_is_accepted", "kv.c",
           (("w->whole > rl_kv_capacity(kv) || w->fresh", "w->fresh"),)), api("full")),
    (Fault("marks_left_behind", "kv.c",
           (("        kv->index[i].key_n &= RL_KV_GONE - 1u;", "        (void)i;"),)),
     api("full")),
    (Fault("a_key_twice", "kv.c", ((" || twice(w, i)) {", ") {"),)), api("arguments")),
    (Fault("failure_forgotten", "kv.c",
           (("        kv->log.broken = 1;\n    }\n    return status;",
             "    }\n    return status;"),)),
     REFUSE),
    (Fault("reset_gives_up_the_newest_number", "kv.c",
           (("    kv->home = kv->log.at;\n", "    kv->home = kv->log.at;\n"
             "    kv->log.newest.seq -= 40u;\n"),)), ROT),
    # The ring below.
    (Fault("flash_page_not_read_back", "store_ring.c",
           (("    return rl_store_verify(store, at, store->page, RL_FLASH_PAGE);",
             "    return RL_OK;"),)), DEAF_FLASH),
    (Fault("no_open_mark", "store_ring.c",
           (("        status = mark_open(store, sector);\n", ""),)), CUTS_FLASH),
    (Fault("chain_erased", "store_ring.c",
           (("    return here <= span;", "    return span > n;"),
            (": store->at / RL_FLASH_RING;", ": (store->at / RL_FLASH_RING + n - 1u) % n;"))),
     CUTS_FLASH),
    (Fault("always_the_same_sectors", "store_ring.c",
           (("                    : store->at / RL_FLASH_RING;",
             "                    : n - 1u;"),)),
     WEAR),
)  # fmt: skip


@pytest.mark.parametrize(("fault", "found_by"), FAULTS, ids=[fault.name for fault, _ in FAULTS])
def test_a_seeded_fault_is_caught(fault: Fault, found_by: tuple[str, ...]) -> None:
    kind, *arguments = found_by
    code, text = kv.run(kv.faulty(fault), kind, *arguments)
    assert code == 1, f"{fault.name} survived: {text}"


def test_the_controls_pass_without_a_fault() -> None:
    for kind, *arguments in sorted({found_by for _, found_by in FAULTS}):
        kv.keeps(kind, *arguments)

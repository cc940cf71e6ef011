"""Policies that run tile by tile and write each output: what they keep behind each tile."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from relume.sim import published as pub
from relume.sim.route import Route, follow
from relume.sim.study import Candidate, Study
from relume.sim.supply import FloatArray
from relume.sim.work import Work

Router = Callable[[Work], Route]


def tiled(study: Study, router: Router) -> list[Candidate]:
    """A candidate for each tile size."""
    return [_one(study, name, router(work), work) for name, work in study.cuts.items()]


def _one(study: Study, setting: str, route: Route, work: Work | None = None) -> Candidate:
    tiles = None if work is None else work.tiles
    return Candidate(setting, lambda begins: follow([route], study.supply, begins), tiles)


def restart(study: Study) -> list[Candidate]:
    """Nothing kept; the result is written at the end."""
    work = study.whole
    last = (np.arange(work.n_tiles) == work.n_tiles - 1).astype(np.float64)
    commit = work.access_s(work.out_bytes) * last
    points = np.array([work.n_tiles])
    return [_one(study, "", Route.make(work, commit, work.out_bytes * last, points=points))]


def layerwise(study: Study) -> list[Candidate]:
    """A whole layer, its output, its number."""
    work = study.whole
    return [_one(study, "", _written(work, pub.LAYER_INDEX), work)]


def _written(work: Work, index: int) -> Route:
    """Each tile's output and an index of so many bytes."""
    commit = work.access_s(work.out_bytes) + work.access_s(index)
    return Route.make(work, commit, work.out_bytes + index)


def alpaca(study: Study) -> list[Candidate]:
    """Private copy, entry of the commit list, copy to the master, task pointer."""

    def router(work: Work) -> Route:
        fixed = work.access_s(pub.ALPACA_ENTRY) + work.access_s(pub.ALPACA_POINTER)
        nvm = 2.0 * work.out_bytes + pub.ALPACA_ENTRY + pub.ALPACA_POINTER
        return Route.make(work, work.access_s(2.0 * work.out_bytes, 2.0) + fixed, nvm)

    return tiled(study, router)


def sonic(study: Study) -> list[Candidate]:
    """One store of index and value for each filter tap and output."""
    work, graph = study.whole, study.graph
    stores = np.array([
        pub.sonic_stores(graph.macs_per_unit(op) * graph.units(op), graph.tensors[op.output].size)
        for op in graph.ops
    ], np.float64)  # fmt: skip
    each = work.access_s(pub.SONIC_INDEX) + work.access_s(pub.SONIC_VALUE)
    nvm = stores * (pub.SONIC_INDEX + pub.SONIC_VALUE)
    return [_one(study, "", Route.make(work, stores * each, nvm, commits=stores, fluid=True))]


def tails(study: Study) -> list[Candidate]:
    """Bulk writes of tiles that are halved for good when one fails."""
    works = [*reversed(study.works.values())]
    routes = [_written(work, pub.SONIC_INDEX) for work in works]
    return [Candidate("halved", lambda begins: follow(routes, study.supply, begins))]


def hawaii(study: Study) -> list[Candidate]:
    """Outputs, then a counter and its version in the older of two copies."""

    def router(work: Work) -> Route:
        record = work.access_s(pub.HAWAII_COUNTER) + work.access_s(pub.HAWAII_VERSION)
        nvm = work.out_bytes + pub.HAWAII_COUNTER + pub.HAWAII_VERSION
        return Route.make(work, work.access_s(work.out_bytes) + record, nvm)

    return tiled(study, router)


def japari(study: Study) -> list[Candidate]:
    """One more output a batch is the indicator; recovery reads them one after the other."""

    def router(work: Work) -> Route:
        size = pub.japari_outputs(1) - 1.0 + work.out_bytes
        seek = work.access_s(1.0) * work.done_of_op
        return Route.make(
            work, work.access_s(size), size,
            start_s=work.start_s() + seek,
            compute_s=work.compute_s * (size / work.out_bytes),
        )  # fmt: skip

    return tiled(study, router)


def stateful_route(work: Work) -> Route:
    """The state is a bit of each value; recovery searches the jobs of a layer by halves."""
    reads = np.array([pub.stateful_reads(int(jobs)) for jobs in work.jobs_of_op], np.float64)
    seek = work.access_s(pub.STATEFUL_TABLE) + work.access_s(1.0) * np.append(reads, 0.0)
    written = work.out_bytes
    return Route.make(work, work.access_s(written), written, start_s=work.start_s() + seek)


def stateful(study: Study) -> list[Candidate]:
    """See stateful_route."""
    return tiled(study, stateful_route)


def nodpa(study: Study) -> list[Candidate]:
    """A progress record of which mostly the low byte is written, in place."""

    def router(work: Work) -> Route:
        full = work.access_s(pub.HAWAII_COUNTER) + work.access_s(pub.HAWAII_VERSION)
        record = (1 - pub.NODPA_CARRY) * work.access_s(1.0) + pub.NODPA_CARRY * full
        nvm = work.out_bytes + pub.nodpa_record_bytes()
        return Route.make(work, work.access_s(work.out_bytes) + record, nvm)

    return tiled(study, router)


def dynbal(study: Study) -> list[Candidate]:
    """Stateful; each layer has the tile that least writes, and least does again."""
    from relume.plan.tiles import cut

    tilings = [*study.works.values()]
    prices = [_reuse_and_refetch(study, work) for work in tilings]
    counts = []
    for number in range(len(study.graph.ops)):
        best = min(range(len(tilings)), key=lambda n: prices[n][number])
        first = int(np.flatnonzero(tilings[best].op == number)[0])
        counts.append(tilings[best].tiles[first].count)
    work = Work.of(study.costs, cut(study.graph, counts))
    return [_one(study, "a tile size a layer", stateful_route(work), work)]


def _reuse_and_refetch(study: Study, work: Work) -> FloatArray:
    """Active seconds of each layer in a tiling: once, and what failures in it add.

    A failure costs a start and half a tile; there is one for each charge that the layer takes. A
    tile that does not fit a charge never ends.
    """
    usable = study.supply.charge_s
    write, start = work.access_s(work.out_bytes), work.start_s()[:-1]
    once = work.compute_s + write
    ops = len(study.graph.ops)
    layer = np.bincount(work.op, once, ops)
    tile = np.array([once[work.op == n].max() for n in range(ops)])
    again = np.array([start[work.op == n].max() for n in range(ops)])
    room = usable - again - 0.5 * tile
    failures = layer / np.maximum(room, 1e-9)
    price: FloatArray = layer + failures * (again + 0.5 * tile)
    price[tile + again > usable] = np.inf
    return price

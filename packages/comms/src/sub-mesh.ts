// A mesh of some of the ranks, numbered anew: those with the same place on every machine talk as if they were alone.
import type { FrameTag, Landing, Mesh } from './mesh.js';
import type { Outgoing } from './wire.js';

/** @param ranks of the whole mesh that take part, in their new order; the own rank is one of them */
export function subMesh(whole: Mesh, ranks: readonly number[]): Mesh {
  return {
    rank: ranks.indexOf(whole.rank),
    worldSize: ranks.length,
    get chunkBytes() {
      return whole.chunkBytes;
    },
    send: (to: number, tag: FrameTag, payload: Outgoing) => whole.send(ranks[to], tag, payload),
    receive: (from: number, tag: FrameTag) => whole.receive(ranks[from], tag),
    land: (from: number, landing: Landing | undefined) => whole.land(ranks[from], landing),
    acknowledge: (from: number) => whole.acknowledge(ranks[from]),
    delivered: (to: number, tag: FrameTag) => whole.delivered(ranks[to], tag),
  };
}

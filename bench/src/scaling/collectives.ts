// The collectives of @slip/comms as patterns of work and messages between the ranks of a simulated cluster: shared memory
// inside a node, and between nodes the frames of ranks with the same place on each, as a ring or directly. Which of the two, and
// how long chunks and windows are, is asked of the product.
import { CHUNK_ELEMENTS, chooseAlgorithm, shardLengths, WINDOW_FRAMES } from '@slip/comms';
import type { Cluster } from './cluster.js';

/** Called for each rank when the rank is done. */
export type Done = (rank: number) => void;
/** A collective under way: each rank joins once, when it gets there. */
export type Join = (rank: number) => void;

const FLOAT = Float32Array.BYTES_PER_ELEMENT;
const HEADER_BYTES = 64;
/** How the product says how many frames it has taken: not one by one. */
const CREDIT_FRAMES = WINDOW_FRAMES / 2;

/** Sums over all ranks. `elements` of float32; `wireBytes` of one between nodes. */
export function reduceScatter(cluster: Cluster, elements: number, done: Done, wireBytes = FLOAT): Join {
  const { ranksPerNode, nodes } = cluster.spec;
  // Parts of a rank's partners on all nodes: what it adds up for its node.
  const mine = elements / ranksPerNode;
  const finish = met(cluster, done);
  const across = nodes === 1 ? finish : byPlace(cluster, mine, 'reduceScatter', finish, wireBytes);
  const sum: Done = (rank) =>
    cluster.work(rank, cluster.memorySeconds((ranksPerNode + 1) * mine * FLOAT), () => across(rank));
  return met(cluster, sum);
}

/** Into memory that the ranks of a node share (`common`), or into each rank's own through staging slots (`own`). */
export function allGather(cluster: Cluster, elements: number, into: 'common' | 'own', done: Done): Join {
  const { ranksPerNode, nodes } = cluster.spec;
  const mine = elements / ranksPerNode;
  const finish = met(cluster, done);
  const copied = into === 'own' ? mine + elements : (mine * (nodes - 1)) / nodes;
  const write: Done = (rank) => cluster.work(rank, cluster.memorySeconds(2 * copied * FLOAT), () => finish(rank));
  return met(cluster, nodes === 1 ? write : byPlace(cluster, mine, 'allGather', write, FLOAT));
}

/** In place, in buffers that all ranks of a node see. */
export function allReduce(cluster: Cluster, elements: number, done: Done, wireBytes = FLOAT): Join {
  const { ranksPerNode, nodes } = cluster.spec;
  const mine = elements / ranksPerNode;
  const finish = met(cluster, done);
  // Each rank reads its share of everybody's buffer, and writes it into everybody's.
  const write: Done = (rank) =>
    cluster.work(rank, cluster.memorySeconds(ranksPerNode * mine * FLOAT), () => finish(rank));
  const across = nodes === 1 ? write : byPlace(cluster, mine, 'allReduce', write, wireBytes);
  const sum: Done = (rank) =>
    cluster.work(rank, cluster.memorySeconds(ranksPerNode * mine * FLOAT), () => across(rank));
  return met(cluster, sum);
}

/** Nobody goes on before all ranks of the node are here. */
function met(cluster: Cluster, then: Done): Join {
  const here: number[][] = Array.from({ length: cluster.spec.nodes }, () => []);
  return (rank) => {
    const node = here[cluster.nodeOf(rank)];
    node.push(rank);
    if (node.length === cluster.spec.ranksPerNode)
      cluster.simulator.after(cluster.spec.meetSeconds, () => {
        for (const one of node) then(one);
      });
  };
}

type Kind = 'allReduce' | 'reduceScatter' | 'allGather';

/** Ranks with the same place on each node exchange `elements` among themselves: as many exchanges as a node has ranks, side by side. */
function byPlace(cluster: Cluster, elements: number, kind: Kind, done: Done, wireBytes: number): Join {
  const { nodes, ranksPerNode } = cluster.spec;
  const exchange = chooseAlgorithm(elements, nodes) === 'ring' ? ring : direct;
  const joins = Array.from({ length: ranksPerNode }, (_, place) => {
    const ranks = Array.from({ length: nodes }, (_, node) => node * ranksPerNode + place);
    return exchange(cluster, ranks, Math.round(elements), kind, done, wireBytes);
  });
  return (rank) => joins[rank % ranksPerNode](rank);
}

/** Everybody sends to everybody: the own values, or in a reduce-scatter the receiver's part of them. */
export function direct(
  cluster: Cluster,
  ranks: readonly number[],
  elements: number,
  kind: Kind,
  done: Done,
  wireBytes = FLOAT,
): Join {
  const count = ranks.length;
  const length = kind === 'allReduce' ? elements : elements / count;
  const bytes = length * wireBytes + HEADER_BYTES;
  const missing = new Map(ranks.map((rank) => [rank, count]));
  const step: Done = (rank) => {
    const left = missing.get(rank)! - 1;
    missing.set(rank, left);
    if (left === 0) done(rank);
  };
  return (rank) => {
    const place = ranks.indexOf(rank);
    for (let i = 1; i < count; i++) {
      const to = ranks[(place + i) % count];
      cluster.work(rank, cluster.frameSeconds(bytes), () =>
        cluster.transfer(rank, to, bytes, () =>
          cluster.work(to, cluster.frameSeconds(bytes) + cluster.memorySeconds(3 * length * FLOAT), () => step(to)),
        ),
      );
    }
    cluster.work(rank, 0, () => step(rank));
  };
}

/** One member of a ring: what it still has to take, and what it may send. */
interface Member {
  readonly rank: number;
  room: number;
  readonly outbox: (() => void)[];
  taken: number;
  uncredited: number;
  hasJoined: boolean;
  readonly early: (() => void)[];
}

/** Segments go around once to be summed and once to be spread, in chunks that go on as soon as they have been taken in. */
export function ring(
  cluster: Cluster,
  ranks: readonly number[],
  elements: number,
  kind: Kind,
  done: Done,
  wireBytes = FLOAT,
): Join {
  const count = ranks.length;
  const steps = kind === 'allReduce' ? 2 * (count - 1) : count - 1;
  const sumSteps = kind === 'allGather' ? 0 : count - 1;
  const segments = shardLengths(elements, count).map(chunksOf);
  const shift = kind === 'allGather' ? 0 : 1;
  const segmentAt = (place: number, step: number) => segments[(((place - shift - step) % count) + count) % count];
  const members: Member[] = ranks.map((rank) => ({
    ...{ rank, room: WINDOW_FRAMES, outbox: [], taken: 0, uncredited: 0, hasJoined: false, early: [] },
  }));
  const expected = ranks.map((_, place) => {
    let chunks = 0;
    for (let step = 1; step <= steps; step++) chunks += segmentAt(place, step).length;
    return chunks;
  });

  const flush = (member: Member) => {
    while (member.room > 0 && member.outbox.length > 0) {
      member.room -= 1;
      member.outbox.shift()!();
    }
  };
  const send = (place: number, step: number, chunk: number) => {
    const from = members[place];
    const to = (place + 1) % count;
    const bytes = segmentAt(place, step)[chunk] * wireBytes + HEADER_BYTES;
    from.outbox.push(() =>
      cluster.work(from.rank, cluster.frameSeconds(bytes), () =>
        cluster.transfer(from.rank, ranks[to], bytes, () => arrive(to, step, chunk)),
      ),
    );
    flush(from);
  };
  const arrive = (place: number, step: number, chunk: number) => {
    const member = members[place];
    if (!member.hasJoined) member.early.push(() => take(place, step, chunk));
    else take(place, step, chunk);
  };
  const take = (place: number, step: number, chunk: number) => {
    const member = members[place];
    const length = segmentAt(place, step + 1)[chunk];
    // A sum reads two values and writes one; a copy reads one and writes one.
    const touched = (step < sumSteps ? 3 : 2) * length * FLOAT;
    const seconds = cluster.frameSeconds(length * wireBytes + HEADER_BYTES) + cluster.memorySeconds(touched);
    cluster.work(member.rank, seconds, () => {
      credit(place);
      member.taken += 1;
      if (step + 1 < steps) send(place, step + 1, chunk);
      if (member.taken === expected[place]) done(member.rank);
    });
  };
  const credit = (place: number) => {
    const member = members[place];
    member.uncredited += 1;
    if (member.uncredited < CREDIT_FRAMES) return;
    member.uncredited = 0;
    const left = members[(place - 1 + count) % count];
    cluster.simulator.after(cluster.spec.linkLatency, () => {
      left.room += CREDIT_FRAMES;
      flush(left);
    });
  };
  return (rank) => {
    const place = ranks.indexOf(rank);
    const member = members[place];
    member.hasJoined = true;
    for (const [chunk] of segmentAt(place, 0).entries()) send(place, 0, chunk);
    for (const early of member.early) early();
  };
}

function chunksOf(length: number): number[] {
  return Array.from({ length: Math.ceil(length / CHUNK_ELEMENTS) }, (_, i) =>
    Math.min(CHUNK_ELEMENTS, length - i * CHUNK_ELEMENTS),
  );
}

// One optimizer step on a simulated cluster, in the order of the product: gathers of the forward pass, the backward pass with
// its exchanges, reduce-scatter of the gradients, AdamW on the own shard, all-gather of the parameters.
import { Cluster, type ClusterSpec } from './cluster.js';
import { allGather, allReduce, type Done, type Join, reduceScatter } from './collectives.js';
import { ASSUMED, MEASURED, type Workload } from './constants.js';

const FLOAT = Float32Array.BYTES_PER_ELEMENT;

export interface StepOptions {
  /** Gradients leave in buckets while the backward pass runs, instead of after it. */
  readonly overlap: boolean;
  readonly bucketBytes: number;
  /** Bytes of a gradient between nodes: 4, or 2 with `--compress`. */
  readonly wireBytes: 2 | 4;
}

export interface StepResult {
  readonly ranks: number;
  readonly stepSeconds: number;
  /** Share of the step in which a rank computes. */
  readonly efficiency: number;
  /** From the start to the end of each stage on the slowest rank, s. */
  readonly stages: Readonly<Record<Stage, number>>;
  /** Bytes that left each node. */
  readonly sentPerNode: number;
  readonly events: number;
}

export type Stage = 'forward' | 'backward' | 'reduce' | 'update' | 'gather';
const STAGES: readonly Stage[] = ['forward', 'backward', 'reduce', 'update', 'gather'];

export function simulateStep(spec: ClusterSpec, work: Workload, options: StepOptions): StepResult {
  const cluster = new Cluster(spec);
  const { worldSize, simulator } = cluster;
  const ends: Record<Stage, number> = { forward: 0, backward: 0, reduce: 0, update: 0, gather: 0 };
  const ended =
    (stage: Stage, then: Done): Done =>
    (rank) => {
      ends[stage] = Math.max(ends[stage], simulator.now);
      then(rank);
    };
  const backwardSeconds = work.computeSeconds * ASSUMED.backwardShare;
  const hostSeconds = (elements: number) => (elements * FLOAT) / ASSUMED.hostCopyBandwidth;
  const pause =
    (seconds: number, then: Done): Done =>
    (rank) =>
      simulator.after(seconds, () => then(rank));

  const gather = allGather(
    cluster,
    work.parameters,
    'common',
    pause(
      hostSeconds(work.parameters),
      ended('gather', () => {}),
    ),
  );
  const shard = work.parameters / worldSize;
  const update: Done = (rank) =>
    cluster.work(rank, shard / MEASURED.adamWPerSecond, () => ended('update', gather)(rank));
  const reduced = ended('reduce', update);
  const exchanges = (then: Done) =>
    inTurn(then, [
      ...work.gathers
        .filter(({ returns }) => returns)
        .map(
          ({ perRank }) =>
            (done: Done) =>
              reduceScatter(cluster, perRank * worldSize, done),
        ),
      ...work.sums.map((elements) => (done: Done) => allReduce(cluster, elements, done)),
    ]);

  const { count, elements } = bucketsOf(work.parameters, options);
  const buckets = chain(cluster, count, (done) => reduceScatter(cluster, elements, done, options.wireBytes), reduced);
  const backward: Done = (rank) => {
    for (let bucket = 1; bucket <= count; bucket++) {
      const readyAt = (backwardSeconds * bucket) / count + hostSeconds(elements);
      simulator.after(readyAt, () => {
        if (bucket === count) ended('backward', () => {})(rank);
        buckets(rank);
      });
    }
  };
  const forward = inTurn(
    ended('forward', exchanges(backward)),
    work.gathers.map(
      ({ perRank }) =>
        (done: Done) =>
          allGather(cluster, perRank * worldSize, 'own', done),
    ),
  );
  for (let rank = 0; rank < worldSize; rank++) pause(work.computeSeconds - backwardSeconds, forward)(rank);

  const stepSeconds = simulator.run();
  let before = 0;
  const stages = Object.fromEntries(
    STAGES.map((stage) => {
      const seconds = Math.max(0, ends[stage] - before);
      before = Math.max(before, ends[stage]);
      return [stage, seconds];
    }),
  ) as Record<Stage, number>;
  const efficiency = work.computeSeconds / stepSeconds;
  return {
    ranks: worldSize,
    stepSeconds,
    efficiency,
    stages,
    sentPerNode: cluster.traffic.sent[0],
    events: simulator.events,
  };
}

function bucketsOf(parameters: number, { overlap, bucketBytes }: StepOptions): { count: number; elements: number } {
  const count = overlap ? Math.max(1, Math.ceil((parameters * FLOAT) / bucketBytes)) : 1;
  return { count, elements: Math.ceil(parameters / count) };
}

/** One collective after another on every rank, as calls on one group are. */
function inTurn(then: Done, calls: readonly ((done: Done) => Join)[]): Join {
  let next: Join = then;
  for (const call of [...calls].reverse()) next = call(next);
  return next;
}

/** `count` calls that a rank may ask for before the one before is done: they wait for it. `then` after the last. */
function chain(cluster: Cluster, count: number, call: (done: Done) => Join, then: Done): Join {
  const state = Array.from({ length: cluster.worldSize }, () => ({ asked: 0, done: 0, isBusy: false }));
  const joins = Array.from({ length: count }, () =>
    call((rank) => {
      const own = state[rank];
      own.isBusy = false;
      own.done += 1;
      if (own.done === count) then(rank);
      else advance(rank);
    }),
  );
  const advance = (rank: number) => {
    const own = state[rank];
    if (own.isBusy || own.asked <= own.done) return;
    own.isBusy = true;
    joins[own.done](rank);
  };
  return (rank) => {
    state[rank].asked += 1;
    advance(rank);
  };
}

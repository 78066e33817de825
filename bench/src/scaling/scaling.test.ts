// The simulated collectives against closed forms where those hold, against measurements of the product on one machine, and
// against the laws that no network breaks.
import assert from 'node:assert/strict';
import test from 'node:test';
import { CHUNK_ELEMENTS, chooseAlgorithm } from '@slip/comms';
import { resolveModel } from '@slip/model/architecture';
import { Cluster, type ClusterSpec } from './cluster.js';
import { allGather, allReduce, type Done, type Join, reduceScatter } from './collectives.js';
import { clusterOf, flopsPerRow, MEASURED, workloadOf } from './constants.js';
import { Server, Simulator } from './simulator.js';
import { simulateStep } from './train-step.js';

const HEADER = 64;
/** Computing costs nothing: only the links do. */
const LINKS_ONLY: ClusterSpec = {
  ...{ nodes: 4, ranksPerNode: 1, coresPerNode: 1, linkBandwidth: 1e9, linkLatency: 0 },
  ...{ memoryBandwidth: Infinity, meetSeconds: 0, frameSeconds: 0, frameBandwidth: Infinity },
};

function timeOf(spec: ClusterSpec, collective: (cluster: Cluster, done: Done) => Join) {
  const cluster = new Cluster(spec);
  let finished = 0;
  const join = collective(cluster, () => {
    finished += 1;
  });
  for (let rank = 0; rank < cluster.worldSize; rank++) join(rank);
  const seconds = cluster.simulator.run();
  assert.equal(finished, cluster.worldSize, 'every rank finishes');
  return { seconds, ...cluster.traffic };
}

test('events happen in the order of their times, and of asking at one time; a server serves as many as it has units', () => {
  const simulator = new Simulator();
  const seen: string[] = [];
  const server = new Server(simulator, 2);
  for (const name of ['a', 'b', 'c']) server.use(1, () => seen.push(`${name}${simulator.now}`));
  simulator.after(1, () => seen.push(`x${simulator.now}`));
  for (const at of [5, 3, 4, 3.5, 2.5]) simulator.after(at, () => seen.push(String(at)));
  assert.equal(simulator.run(), 5);
  assert.deepEqual(seen, ['a1', 'b1', 'x1', 'c2', '2.5', '3', '3.5', '4', '5']);
});

for (const nodes of [2, 4, 16]) {
  const elements = nodes * 40 * CHUNK_ELEMENTS;
  test(`long messages over ${nodes} nodes take 2 (W - 1) / W of the bytes at the speed of the link, and one latency`, () => {
    assert.equal(chooseAlgorithm(elements, nodes), 'ring');
    const linkLatency = 1e-4;
    const spec = { ...LINKS_ONLY, nodes, linkLatency };
    const { seconds } = timeOf(spec, (cluster, done) => allReduce(cluster, elements, done));
    const bytes = ((2 * (nodes - 1)) / nodes) * elements * 4;
    const expected = (bytes * (1 + HEADER / (CHUNK_ELEMENTS * 4))) / spec.linkBandwidth;
    assert.ok(
      seconds >= expected && seconds < expected * 1.01 + 2 * linkLatency,
      `${seconds} s, expected ${expected} s`,
    );
  });

  test(`where a segment is one chunk, ${nodes} nodes take 2 (W - 1) times a chunk and a latency`, () => {
    const linkLatency = 1e-2;
    const spec = { ...LINKS_ONLY, nodes, linkLatency };
    const { seconds } = timeOf(spec, (cluster, done) => allReduce(cluster, nodes * CHUNK_ELEMENTS, done));
    const expected = 2 * (nodes - 1) * ((CHUNK_ELEMENTS * 4 + HEADER) / spec.linkBandwidth + linkLatency);
    assert.ok(Math.abs(seconds / expected - 1) < 1e-9, `${seconds} s, expected ${expected} s`);
  });

  test(`short messages between ${nodes} nodes take one latency`, () => {
    assert.equal(chooseAlgorithm(256, nodes), 'direct');
    const spec = { ...LINKS_ONLY, nodes, linkLatency: 1, linkBandwidth: Infinity };
    assert.equal(timeOf(spec, (cluster, done) => allReduce(cluster, 256, done)).seconds, 1);
  });
}

test('what leaves a node arrives at another, and is as much as the algorithm says', () => {
  const [nodes, ranksPerNode] = [4, 8];
  const elements = nodes * ranksPerNode * CHUNK_ELEMENTS * 3;
  const spec = { ...clusterOf(nodes, 'measured'), ranksPerNode };
  const frames = (count: number) => count * (CHUNK_ELEMENTS * 4 + HEADER) * 3 * ranksPerNode;
  const collectives = {
    reduceScatter: [(c: Cluster, done: Done) => reduceScatter(c, elements, done), nodes - 1],
    allGather: [(c: Cluster, done: Done) => allGather(c, elements, 'common', done), nodes - 1],
    allReduce: [(c: Cluster, done: Done) => allReduce(c, elements, done), 2 * (nodes - 1)],
  } as const;
  for (const [name, [collective, steps]] of Object.entries(collectives)) {
    const { sent, received } = timeOf(spec, collective);
    assert.deepEqual(sent, Array(nodes).fill(frames(steps)), name);
    assert.deepEqual(received, sent, name);
  }
});

test('halves on the wire are half of the bytes', () => {
  const sent = (wireBytes: number) =>
    timeOf(LINKS_ONLY, (cluster, done) => reduceScatter(cluster, 4 * CHUNK_ELEMENTS, done, wireBytes)).sent[0];
  assert.equal(sent(4) - 3 * HEADER, 2 * (sent(2) - 3 * HEADER));
});

test('one rank that comes late holds up all others', () => {
  const cluster = new Cluster({ ...clusterOf(2, 'measured') });
  const times: number[] = [];
  const join = allReduce(cluster, 1 << 20, (rank) => {
    times[rank] = cluster.simulator.now;
  });
  for (let rank = 0; rank < 16; rank++) cluster.simulator.after(rank === 5 ? 3 : 0, () => join(rank));
  cluster.simulator.run();
  assert.ok(Math.min(...times) > 3);
});

/** From docs/results, two cores: nodes, ranks of each, bytes, ms. A node of one rank has only frames. */
const MEASUREMENTS = [
  ['2 ranks, shared memory, 512 MB', 1, 2, 512 << 20, 64],
  ['4 ranks, shared memory, 64 MB', 1, 4, 64 << 20, 22],
  ['8 ranks, shared memory, 64 MB', 1, 8, 64 << 20, 55],
  ['8 ranks, shared memory, 512 MB', 1, 8, 512 << 20, 290],
  ['2 network namespaces, 4 MB', 2, 1, 4 << 20, 5.8],
  ['2 network namespaces, 64 MB', 2, 1, 64 << 20, 75],
] as const;

for (const [name, nodes, ranksPerNode, bytes, ms] of MEASUREMENTS) {
  test(`${name}: simulated within a factor of 1.6 of what was measured`, () => {
    const here = { ranksPerNode, coresPerNode: 2 / nodes, linkBandwidth: Infinity, linkLatency: 0 };
    const spec = { ...clusterOf(nodes, 'measured'), ...here };
    const { seconds } = timeOf(spec, (cluster, done) => allReduce(cluster, bytes / 4, done));
    assert.ok(seconds * 1000 < ms * 1.6 && seconds * 1000 > ms / 1.6, `${seconds * 1000} ms, measured ${ms} ms`);
  });
}

test('a step costs at least its arithmetic; hidden gradients cost less; more nodes never make it faster', () => {
  const work = workloadOf(resolveModel('SLIP_VITB16'));
  const options = { overlap: false, bucketBytes: 25e6, wireBytes: 4 as const };
  const [one, two, four] = [1, 2, 4].map((nodes) => simulateStep(clusterOf(nodes, 'measured'), work, options));
  assert.ok(one.stepSeconds > work.computeSeconds + work.parameters / 8 / MEASURED.adamWPerSecond);
  assert.ok(one.stepSeconds < two.stepSeconds && two.stepSeconds <= four.stepSeconds);
  assert.equal(one.sentPerNode, 0);
  const hidden = simulateStep(clusterOf(4, 'measured'), work, { ...options, overlap: true });
  assert.ok(hidden.stepSeconds < four.stepSeconds);
  const stages = Object.values(four.stages).reduce((sum, seconds) => sum + seconds, 0);
  assert.ok(Math.abs(stages - four.stepSeconds) < 1e-9, 'the stages are the whole step');
});

test('the arithmetic of ViT-B/16 is the published 17.6 billion multiplications and additions for an image', () => {
  const model = resolveModel('SLIP_VITB16');
  const image = flopsPerRow({ ...model, text: undefined } as never) / 9 / 2;
  assert.ok(Math.abs(image / 17.58e9 - 1) < 0.02, `${image}`);
});

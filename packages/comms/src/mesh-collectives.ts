// The collectives as patterns of frames over a mesh of any ranks. Which pattern is a pure function of size and world.
import { SlipError } from '@slip/core';
import { type Call, type Collectives, type Parts, splitEvenly } from './collectives.js';
import { type FrameTag, type Landing, MAX_PAYLOAD_BYTES, type Mesh, sameTag } from './mesh.js';
import { bytesOf, combineTree, copyBytes, type Digest, type Reduction, type Taking } from './vector/kernels.js';
import { packFloats, roundToWire, takeWire, unpackFloats, wireBytes } from './vector/wire-floats.js';
import type { Payload } from './wire.js';

const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;
/** What one rank may send to all others together when it sends directly. */
const DIRECT_BYTES = 256 * 1024;

export type Algorithm = 'direct' | 'ring';

/**
 * Short messages go directly from each rank to each: one latency, but W - 1 times the data. Long ones go around a ring in
 * chunks: 2 (W - 1) latencies, and 2 (W - 1) / W of the data whatever the world size. Between processes of one machine the
 * direct way was the faster one for all sizes that may take it.
 * @param elements float32 elements of the whole collective
 */
export function chooseAlgorithm(elements: number, worldSize: number): Algorithm {
  // A ring of one would send to itself, and a ring needs an element for each rank.
  if (worldSize === 1 || elements < worldSize) return 'direct';
  return elements * Float32Array.BYTES_PER_ELEMENT * (worldSize - 1) <= DIRECT_BYTES ? 'direct' : 'ring';
}

/** `fastest` sums long messages around the ring; `tree` sums everything as a tree, at W / 2 times the data. */
export type SumOrder = 'fastest' | 'tree';

/** The collectives between the ranks of this mesh, by frames alone. */
export class MeshCollectives implements Collectives {
  private readonly mesh: Mesh;
  private readonly order: SumOrder;

  constructor(mesh: Mesh, order: SumOrder = 'fastest') {
    this.mesh = mesh;
    this.order = order;
  }

  /** In place; the same bits on all ranks, since each element is computed by one rank or by all in the same order. */
  async allReduce(call: Call, buffer: Float32Array, op: Reduction): Promise<void> {
    const mesh = this.mesh;
    const { rank, worldSize } = mesh;
    if (chooseAlgorithm(buffer.length, worldSize) === 'direct') return this.reduceDirectly(call, buffer, op);
    if (this.order === 'tree') {
      const longest = Math.floor(DIRECT_BYTES / Float32Array.BYTES_PER_ELEMENT / worldSize);
      for (const piece of chunksOf(buffer, longest)) await this.reduceDirectly(call, piece, op);
      return;
    }
    const segments = splitEvenly(buffer.length, worldSize);
    const segmentAt = (step: number) => buffer.subarray(...segments[modulo(rank - 1 - step, worldSize)]);
    // As in reduceScatter, so that both make the same sums: after W - 1 additions a rank holds the sum of its own segment.
    await turnRing(mesh, call, {
      steps: 2 * (worldSize - 1),
      first: segmentAt(0),
      at: (step) => {
        const segment = segmentAt(step + 1);
        const taking = step < worldSize - 1 ? op : 'copy';
        // What the others will get of the finished sum is what this rank keeps.
        return { taking, own: segment, target: segment, isFinalSum: step === worldSize - 2 };
      },
    });
  }

  private async reduceDirectly(call: Call, buffer: Float32Array, op: Reduction): Promise<void> {
    if (this.mesh.worldSize === 1) return;
    await sendToOthers(this.mesh, call, () => buffer);
    await combineReceived(this.mesh, call, buffer.slice(), buffer, op);
    roundToWire(call.dtype, buffer);
  }

  async reduceScatter(call: Call, input: Float32Array, output: Float32Array, parts: Parts): Promise<void> {
    const mesh = this.mesh;
    const { rank, worldSize } = mesh;
    if (worldSize === 1) {
      if (output.buffer !== input.buffer || output.byteOffset !== input.byteOffset) output.set(input);
      return;
    }
    if (chooseAlgorithm(input.length, worldSize) === 'direct') {
      await sendToOthers(mesh, call, (to) => input.subarray(...parts[to]));
      return combineReceived(mesh, call, input.slice(...parts[rank]), output, 'sum');
    }
    if (this.order === 'tree') {
      const sums = input.slice();
      await this.allReduce(call, sums, 'sum');
      output.set(sums.subarray(...parts[rank]));
      return;
    }
    const segmentAt = (step: number) => input.subarray(...parts[modulo(rank - 1 - step, worldSize)]);
    await turnRing(mesh, call, {
      steps: worldSize - 1,
      first: segmentAt(0),
      at: (step) => {
        const own = segmentAt(step + 1);
        const isFinalSum = step === worldSize - 2;
        return { taking: 'sum', own, target: isFinalSum ? output : new Float32Array(own.length), isFinalSum: false };
      },
    });
  }

  async allGather(call: Call, input: Float32Array, output: Float32Array, parts: Parts): Promise<void> {
    const mesh = this.mesh;
    const { rank, worldSize } = mesh;
    const part = (r: number) => output.subarray(...parts[r]);
    part(rank).set(input);
    if (chooseAlgorithm(output.length, worldSize) === 'direct') {
      await sendToOthers(mesh, call, () => part(rank));
      for (const from of others(mesh)) part(from).set(await receiveFloats(mesh, call, from, part(from).length));
      return;
    }
    await turnRing(mesh, call, {
      steps: worldSize - 1,
      first: part(rank),
      at: (step) => {
        const target = part(modulo(rank - 1 - step, worldSize));
        return { taking: 'copy', own: target, target, isFinalSum: false };
      },
    });
  }

  /** Short ones go from the root to each, long ones in chunks from rank to rank, upwards from the root. */
  async broadcast(call: Call, bytes: Uint8Array): Promise<void> {
    const mesh = this.mesh;
    const { rank, worldSize } = mesh;
    const place = modulo(rank - call.root, worldSize);
    const isDirect = chooseAlgorithm(bytes.length / Float32Array.BYTES_PER_ELEMENT, worldSize) === 'direct';
    const from = isDirect ? call.root : modulo(rank - 1, worldSize);
    const following = place === worldSize - 1 ? [] : [modulo(rank + 1, worldSize)];
    const receivers = isDirect ? (place === 0 ? others(mesh) : []) : following;
    const sends = new Sends();
    if (!isDirect && place !== 0) mesh.land(from, landingIn(call, 0, bytes, mesh.chunkBytes));
    for (const [chunk, part] of [...chunksOf(bytes, mesh.chunkBytes)].entries()) {
      const tag = tagOf(call, chunk);
      const digest = place === 0 ? undefined : await receive(mesh, call, from, chunk, part.length, copyTo(part));
      const payload = { bytes: () => part, isLent: !isDirect, ...(digest === undefined ? {} : { digest }) };
      for (const to of receivers) sends.add(mesh.send(to, tag, payload));
    }
    mesh.land(from, undefined);
    await sends.done();
    if (isDirect) return;
    if (place !== 0) mesh.acknowledge(from);
    for (const to of receivers) await mesh.delivered(to, tagOf(call, 0));
  }

  /** Also the barrier, with none. */
  async exchangeBytes(call: Call, own: Uint8Array): Promise<Uint8Array[]> {
    const mesh = this.mesh;
    if (own.length > MAX_PAYLOAD_BYTES)
      throw new SlipError('internal', `${own.length} bytes do not fit into one frame`);
    const tag = tagOf(call, 0);
    for (const to of others(mesh)) await mesh.send(to, tag, { bytes: () => own, isLent: false });
    const all: Uint8Array[] = [];
    all[mesh.rank] = own;
    for (const from of others(mesh)) {
      const payload = await mesh.receive(from, tag);
      all[from] = bytesOf(payload);
      payload.release();
    }
    return all;
  }
}

/** Takes what the others have sent directly, and combines it with the own values in rank order. */
async function combineReceived(
  mesh: Mesh,
  call: Call,
  own: Float32Array,
  output: Float32Array,
  op: Reduction,
): Promise<void> {
  const all: Float32Array[] = [];
  // As the others see it, so that a sum does not depend on where it is made.
  roundToWire(call.dtype, own);
  all[mesh.rank] = own;
  for (const from of others(mesh)) all[from] = await receiveFloats(mesh, call, from, own.length);
  combineTree(op, all, [output]);
}

interface Ring {
  readonly steps: number;
  /** What leaves at the start. */
  readonly first: Float32Array;
  at(step: number): RingStep;
}

/** What becomes of what arrives at a step; it leaves again at the next one. */
interface RingStep {
  readonly taking: Taking;
  readonly own: Float32Array;
  readonly target: Float32Array;
  /** Nothing is added any more: from here on all ranks have what travels. */
  readonly isFinalSum: boolean;
}

/**
 * Each chunk goes on as soon as it has been taken in, so that all links are busy at once. Chunks are lent: a place is written again
 * only with a sum that what left it is part of, so that has arrived. The last chunks have when the ring ends.
 */
async function turnRing(mesh: Mesh, call: Call, ring: Ring): Promise<void> {
  const { rank, worldSize } = mesh;
  const [left, right] = [modulo(rank - 1, worldSize), modulo(rank + 1, worldSize)];
  const sends = new Sends();
  let sent = 0;
  let received = 0;
  const send = (part: Float32Array, digest?: Digest) =>
    sends.add(mesh.send(right, tagOf(call, sent++), packFloats(call.dtype, part, true, digest)));
  const chunk = mesh.chunkBytes / FLOAT_BYTES;
  for (const part of chunksOf(ring.first, chunk)) send(part);
  for (let step = 0; step < ring.steps; step++) {
    const { taking, own, target, isFinalSum } = ring.at(step);
    mesh.land(left, taking === 'copy' ? landingIn(call, received, target, mesh.chunkBytes) : undefined);
    for (let start = 0; start < target.length; start += chunk) {
      const part = target.subarray(start, start + chunk);
      const values = own.subarray(start, start + chunk);
      const bytes = wireBytes(call.dtype, part.length);
      const digest = await receive(mesh, call, left, received++, bytes, (payload) =>
        takeWire(call.dtype, payload, taking, values, part),
      );
      if (isFinalSum) roundToWire(call.dtype, part);
      if (step + 1 < ring.steps) send(part, digest);
    }
  }
  mesh.land(left, undefined);
  await sends.done();
  mesh.acknowledge(left);
  await mesh.delivered(right, tagOf(call, 0));
}

/** Chunks of this call from `first` on are those of `target`; halves still have to be widened. */
function landingIn(
  call: Call,
  first: number,
  target: Float32Array | Uint8Array,
  chunkBytes: number,
): Landing | undefined {
  if (call.dtype === 'bfloat16' || call.dtype === 'float16') return undefined;
  const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength);
  return (tag) => {
    const start = (tag.chunk - first) * chunkBytes;
    const isOurs = start >= 0 && start < bytes.length && sameTag(tag, tagOf(call, tag.chunk));
    return isOurs ? bytes.subarray(start, start + chunkBytes) : undefined;
  };
}

/** Sends under way, awaited together at the end; a failure of the receiving side may come first. */
class Sends {
  private readonly pending: Promise<void>[] = [];

  add(send: Promise<void>): void {
    send.catch(() => undefined);
    this.pending.push(send);
  }

  async done(): Promise<void> {
    await Promise.all(this.pending);
  }
}

async function sendToOthers(mesh: Mesh, call: Call, part: (to: number) => Float32Array): Promise<void> {
  for (const to of others(mesh)) await mesh.send(to, tagOf(call, 0), packFloats(call.dtype, part(to), false));
}

function receiveFloats(mesh: Mesh, call: Call, from: number, length: number): Promise<Float32Array> {
  return receive(mesh, call, from, 0, wireBytes(call.dtype, length), (payload) => unpackFloats(call.dtype, payload));
}

const copyTo = (part: Uint8Array) => (payload: Payload) => copyBytes(payload, part);

/** The next frame of `from`, which must be `bytes` long. @returns what `take` makes of it */
async function receive<T>(
  mesh: Mesh,
  call: Call,
  from: number,
  chunk: number,
  bytes: number,
  take: (payload: Payload) => T,
): Promise<T> {
  const payload = await mesh.receive(from, tagOf(call, chunk));
  try {
    if (payload.length === bytes) return take(payload);
    throw new SlipError(
      'peer-lost',
      `rank ${from} sent a frame of ${payload.length} bytes where ${bytes} were expected`,
    );
  } finally {
    payload.release();
  }
}

function tagOf({ operation, sequence, dtype, elements, root }: Call, chunk: number): FrameTag {
  return { operation, sequence, dtype, elements, root, chunk };
}

/** Starting after the own rank, so that not everybody talks to rank 0 first. */
function others({ rank, worldSize }: Mesh): number[] {
  return Array.from({ length: worldSize - 1 }, (_, i) => (rank + 1 + i) % worldSize);
}

function* chunksOf<T extends Float32Array | Uint8Array>(values: T, size: number): Generator<T> {
  for (let start = 0; start < values.length; start += size) yield values.subarray(start, start + size) as T;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}

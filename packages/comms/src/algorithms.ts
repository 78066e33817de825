// The collectives as patterns of frames over a mesh. Which pattern is a pure function of size and world.
import { SlipError } from '@slip/core';
import { type Dtype, type FrameTag, MAX_PAYLOAD_BYTES, type Mesh, type Operation } from './mesh.js';

/** Payload of one frame of a long message; small enough to pipeline, large enough to amortise a frame. */
const CHUNK_ELEMENTS = 128 * 1024;
const CHUNK_BYTES = CHUNK_ELEMENTS * Float32Array.BYTES_PER_ELEMENT;
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

/** One collective under way: its place in the order of calls. */
export interface Call {
  readonly mesh: Mesh;
  readonly operation: Operation;
  readonly sequence: number;
  readonly dtype: Dtype;
  readonly elements: number;
  readonly root: number;
}

type Combine = (into: Float32Array, other: Float32Array) => void;

/** In place; the same bits on all ranks, since each element is computed by one rank or by all in the same order. */
export async function allReduce(call: Call, buffer: Float32Array): Promise<void> {
  const combine = call.operation === 'allReduce max' ? takeMaximum : addInto;
  if (chooseAlgorithm(buffer.length, call.mesh.worldSize) === 'direct') return directReduce(call, buffer, combine);
  const { rank, worldSize } = call.mesh;
  const segments = splitEvenly(buffer.length, worldSize);
  // The segment that leaves first is the own one; after W - 1 additions a rank holds the sum of segment rank + 1.
  await turnRing(call, {
    steps: 2 * (worldSize - 1),
    segmentAt: (step) => buffer.subarray(...segments[modulo(rank - step, worldSize)]),
    take: (step, into, other) => (step < worldSize - 1 ? combine(into, other) : into.set(other)),
  });
}

export async function reduceScatter(call: Call, input: Float32Array, output: Float32Array): Promise<void> {
  const { rank, worldSize } = call.mesh;
  const part = (r: number, of = input) => of.subarray(r * output.length, (r + 1) * output.length);
  if (chooseAlgorithm(input.length, worldSize) === 'direct') {
    await sendToOthers(call, (to) => part(to));
    return combineInRankOrder(call, part(rank), output, addInto);
  }
  const sums = input.slice();
  await turnRing(call, {
    steps: worldSize - 1,
    segmentAt: (step) => part(modulo(rank - 1 - step, worldSize), sums),
    take: (_, into, other) => addInto(into, other),
  });
  output.set(part(rank, sums));
}

export async function allGather(call: Call, input: Float32Array, output: Float32Array): Promise<void> {
  const { rank, worldSize } = call.mesh;
  const part = (r: number) => output.subarray(r * input.length, (r + 1) * input.length);
  part(rank).set(input);
  if (chooseAlgorithm(output.length, worldSize) === 'direct') {
    await sendToOthers(call, () => input);
    for (const from of others(call.mesh)) part(from).set(await receiveFloats(call, from, 0, input.length));
    return;
  }
  await turnRing(call, {
    steps: worldSize - 1,
    segmentAt: (step) => part(modulo(rank - step, worldSize)),
    take: (_, into, other) => into.set(other),
  });
}

/** Short ones go from the root to each, long ones in chunks from rank to rank, upwards from the root. */
export async function broadcast(call: Call, bytes: Uint8Array): Promise<void> {
  const { mesh, root } = call;
  const { rank, worldSize } = mesh;
  const place = modulo(rank - root, worldSize);
  const isDirect = chooseAlgorithm(bytes.length / Float32Array.BYTES_PER_ELEMENT, worldSize) === 'direct';
  const from = isDirect ? root : modulo(rank - 1, worldSize);
  const following = place === worldSize - 1 ? [] : [modulo(rank + 1, worldSize)];
  const receivers = isDirect ? (place === 0 ? others(mesh) : []) : following;
  const sends = new Sends();
  for (const [chunk, part] of [...chunksOf(bytes, CHUNK_BYTES)].entries()) {
    const tag = tagOf(call, chunk);
    if (place !== 0) part.set(sized(await mesh.receive(from, tag), part.length, from));
    for (const to of receivers) sends.add(mesh.send(to, tag, part));
  }
  await sends.done();
}

/** Every rank's bytes, in rank order; also the barrier, with none. */
export async function exchangeBytes(call: Call, own: Uint8Array): Promise<Uint8Array[]> {
  if (own.length > MAX_PAYLOAD_BYTES) throw new SlipError('internal', `${own.length} bytes do not fit into one frame`);
  const tag = tagOf(call, 0);
  for (const to of others(call.mesh)) await call.mesh.send(to, tag, own);
  const all: Uint8Array[] = [];
  all[call.mesh.rank] = own;
  for (const from of others(call.mesh)) all[from] = await call.mesh.receive(from, tag);
  return all;
}

async function directReduce(call: Call, buffer: Float32Array, combine: Combine): Promise<void> {
  await sendToOthers(call, () => buffer);
  await combineInRankOrder(call, buffer.slice(), buffer, combine);
}

/** `output` becomes the parts of rank 0, 1, ... combined in this order, the own part among them. */
async function combineInRankOrder(
  call: Call,
  own: Float32Array,
  output: Float32Array,
  combine: Combine,
): Promise<void> {
  for (let from = 0; from < call.mesh.worldSize; from++) {
    const part = from === call.mesh.rank ? own : await receiveFloats(call, from, 0, own.length);
    if (from === 0) output.set(part);
    else combine(output, part);
  }
}

interface Ring {
  readonly steps: number;
  /** What leaves at this step; what arrives at step k is what leaves at step k + 1. */
  segmentAt(step: number): Float32Array;
  take(step: number, into: Float32Array, other: Float32Array): void;
}

/**
 * Each chunk goes on as soon as it has been taken in, so that all links are busy at once. A chunk that still waits to leave is
 * not yet overwritten: its place is written again only with a sum that it is part of.
 */
async function turnRing(call: Call, ring: Ring): Promise<void> {
  const { rank, worldSize } = call.mesh;
  const [left, right] = [modulo(rank - 1, worldSize), modulo(rank + 1, worldSize)];
  const sends = new Sends();
  let sent = 0;
  let received = 0;
  const send = (part: Float32Array) => sends.add(call.mesh.send(right, tagOf(call, sent++), bytesOf(part)));
  for (const part of chunksOf(ring.segmentAt(0), CHUNK_ELEMENTS)) send(part);
  for (let step = 0; step < ring.steps; step++) {
    for (const part of chunksOf(ring.segmentAt(step + 1), CHUNK_ELEMENTS)) {
      ring.take(step, part, await receiveFloats(call, left, received++, part.length));
      if (step + 1 < ring.steps) send(part);
    }
  }
  await sends.done();
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

async function sendToOthers(call: Call, part: (to: number) => Float32Array): Promise<void> {
  for (const to of others(call.mesh)) await call.mesh.send(to, tagOf(call, 0), bytesOf(part(to)));
}

async function receiveFloats(call: Call, from: number, chunk: number, length: number): Promise<Float32Array> {
  const bytes = sized(await call.mesh.receive(from, tagOf(call, chunk)), length * Float32Array.BYTES_PER_ELEMENT, from);
  // Frames arrive at any address; floats need a multiple of four.
  const aligned = bytes.byteOffset % Float32Array.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, length);
}

function sized(bytes: Uint8Array, wanted: number, from: number): Uint8Array {
  if (bytes.length === wanted) return bytes;
  throw new SlipError('peer-lost', `rank ${from} sent a frame of ${bytes.length} bytes where ${wanted} were expected`);
}

function tagOf({ operation, sequence, dtype, elements, root }: Call, chunk: number): FrameTag {
  return { operation, sequence, dtype, elements, root, chunk };
}

/** Starting after the own rank, so that not everybody talks to rank 0 first. */
function others({ rank, worldSize }: Mesh): number[] {
  return Array.from({ length: worldSize - 1 }, (_, i) => (rank + 1 + i) % worldSize);
}

function splitEvenly(length: number, parts: number): [number, number][] {
  return Array.from({ length: parts }, (_, i) => [
    Math.floor((length * i) / parts),
    Math.floor((length * (i + 1)) / parts),
  ]);
}

function* chunksOf<T extends Float32Array | Uint8Array>(values: T, size: number): Generator<T> {
  for (let start = 0; start < values.length; start += size) yield values.subarray(start, start + size) as T;
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}

function addInto(into: Float32Array, other: Float32Array): void {
  for (let i = 0; i < into.length; i++) into[i] += other[i];
}

function takeMaximum(into: Float32Array, other: Float32Array): void {
  for (let i = 0; i < into.length; i++) into[i] = Math.max(into[i], other[i]);
}

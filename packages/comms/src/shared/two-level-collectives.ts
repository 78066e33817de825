// Collectives in two levels: the ranks of one machine combine values in shared memory, and ranks with the same place on each
// machine exchange their share of the result by frames. What lies in an arena is read and written where it is; other values
// go through the staging slots.
import { SlipError } from '@slip/core';
import { type Call, type Collectives, type Parts, splitEvenly } from '../collectives.js';
import { DTYPES, describeTag, type Mesh, OPERATIONS } from '../mesh.js';
import { MeshCollectives, type SumOrder } from '../mesh-collectives.js';
import { subMesh } from '../sub-mesh.js';
import { combineTree, type Reduction } from '../vector/kernels.js';
import { type Descriptor, descriptorOf } from './board.js';
import type { NodeMemory } from './node-memory.js';
import type { Topology } from './topology.js';

/** Below this, every rank adds up everything itself: one meeting instead of two. */
const SHORT_BYTES = 64 * 1024;
const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;

export class TwoLevelCollectives implements Collectives {
  private readonly memory: NodeMemory;
  private readonly topology: Topology;
  private readonly ranks: readonly number[];
  /** Between the ranks with this rank's place on each machine, in the order of machines. */
  private readonly across: MeshCollectives;
  private readonly everywhere: MeshCollectives;

  constructor(memory: NodeMemory, topology: Topology, mesh: Mesh, order?: SumOrder) {
    this.memory = memory;
    this.topology = topology;
    this.ranks = topology.nodes[topology.node];
    this.across = new MeshCollectives(
      subMesh(
        mesh,
        topology.nodes.map((ranks) => ranks[topology.index]),
      ),
      order,
    );
    this.everywhere = new MeshCollectives(mesh);
  }

  async allReduce(call: Call, buffer: Float32Array, op: Reduction): Promise<void> {
    const found = this.memory.find(buffer);
    if (found !== undefined && !found.arena.isCommon) {
      await this.meet(call, found.id, found.offset);
      const inputs = found.arena.parts.map((part) => part.subarray(found.offset, found.offset + buffer.length));
      await this.reduceInPlace(call, inputs, op);
      return this.memory.board.pass();
    }
    for (const [i, piece] of this.pieces(buffer, this.memory.slotBytes).entries()) {
      await this.allReduceStaged(call, i, piece, op);
    }
  }

  async reduceScatter(call: Call, input: Float32Array, output: Float32Array, parts: Parts): Promise<void> {
    const { memory } = this;
    // Parts of all ranks with this place, one for each machine: this rank adds them up for its machine.
    const mine = this.partners().map((rank) => parts[rank]);
    const sums = this.isOneNode ? output : new Float32Array(mine.reduce((sum, [start, end]) => sum + end - start, 0));
    const found = memory.find(input);
    if (found !== undefined && !found.arena.isCommon) {
      await this.meet(call, found.id, found.offset);
      const inputs = found.arena.parts.map((part) => part.subarray(found.offset, found.offset + input.length));
      let at = 0;
      for (const [start, end] of mine) {
        combineTree('sum', views(inputs, start, end), [sums.subarray(at, at + end - start)]);
        at += end - start;
      }
      // The others may write to their inputs again only when all have been read.
      await memory.board.pass();
    } else await this.sumStaged(call, input, sums, parts);
    if (!this.isOneNode) await this.across.reduceScatter(call, sums, output, partsWithin(mine));
  }

  async allGather(call: Call, input: Float32Array, output: Float32Array, parts: Parts): Promise<void> {
    const { memory } = this;
    const mine = this.partners().map((rank) => parts[rank]);
    const found = memory.find(output);
    if (found !== undefined) {
      await this.meet(call, found.id, found.offset);
      const gathered = await this.gatherAcross(call, input, mine);
      const targets = found.arena.isCommon ? [found.arena.parts[0]] : found.arena.parts;
      let at = 0;
      for (const [start, end] of mine) {
        const values = gathered.subarray(at, at + end - start);
        at += end - start;
        for (const target of targets)
          copyUnlessThere(values, target.subarray(found.offset + start, found.offset + end));
      }
      return memory.board.pass();
    }
    const gathered = await this.gatherAcross(call, input, mine);
    await this.gatherStaged(call, gathered, output, parts);
  }

  async broadcast(call: Call, bytes: Uint8Array): Promise<void> {
    const rootNode = this.topology.nodes.findIndex((ranks) => ranks.includes(call.root));
    const rootIndex = this.topology.nodes[rootNode].indexOf(call.root);
    const isFirst = this.topology.index === rootIndex;
    if (isFirst && !this.isOneNode) await this.across.broadcast({ ...call, root: rootNode }, bytes);
    const { slotBytes } = this.memory;
    for (let start = 0, i = 0; start < bytes.length || i === 0; start += slotBytes, i++) {
      const piece = bytes.subarray(start, start + slotBytes);
      const slot = this.memory.nextSlots()[rootIndex];
      if (isFirst) slot.set(piece);
      await this.meet(call, 0, i);
      if (!isFirst) piece.set(slot.subarray(0, piece.length));
    }
  }

  /** By frames, since sizes may differ by rank; the meeting before shows at once who is elsewhere. */
  async exchangeBytes(call: Call, own: Uint8Array): Promise<Uint8Array[]> {
    await this.meet(call, 0, 0);
    if (call.operation === 'barrier' && this.isOneNode) return this.ranks.map(() => own);
    return this.everywhere.exchangeBytes(call, own);
  }

  private get isOneNode(): boolean {
    return this.topology.nodes.length === 1;
  }

  /** Ranks with this rank's place, by machine. */
  private partners(): number[] {
    return this.topology.nodes.map((ranks) => ranks[this.topology.index]);
  }

  /** Each rank combines its share of what lies in memory that all see, and writes the result to all. */
  private async reduceInPlace(call: Call, buffers: readonly Float32Array[], op: Reduction): Promise<void> {
    const [start, end] = splitEvenly(buffers[0].length, this.memory.ranks)[this.memory.index];
    const shares = views(buffers, start, end);
    if (this.isOneNode) return combineTree(op, shares, shares);
    const own = shares[this.memory.index];
    combineTree(op, shares, [own]);
    await this.across.allReduce(call, own, op);
    for (const share of shares) if (share !== own) share.set(own);
  }

  private async allReduceStaged(call: Call, i: number, piece: Float32Array, op: Reduction): Promise<void> {
    const slots = this.memory.nextSlots().map((slot) => floatsOf(slot).subarray(0, piece.length));
    const own = slots[this.memory.index];
    own.set(piece);
    await this.meet(call, 0, i);
    if (this.isOneNode && piece.byteLength <= SHORT_BYTES) return combineTree(op, slots, [piece]);
    await this.reduceInPlace(call, slots, op);
    await this.memory.board.pass();
    piece.set(own);
  }

  /** Like `reduceScatter` on this machine, in rounds of as much of every part as the slots hold. */
  private async sumStaged(call: Call, input: Float32Array, sums: Float32Array, parts: Parts): Promise<void> {
    const round = Math.max(1, Math.floor(this.memory.slotBytes / FLOAT_BYTES / parts.length));
    const longest = Math.max(...parts.map(([start, end]) => end - start));
    for (let at = 0, i = 0; at < longest || i === 0; at += round, i++) {
      const slots = this.memory.nextSlots().map(floatsOf);
      for (const [r, [start, end]] of parts.entries()) {
        slots[this.memory.index].set(
          input.subarray(Math.min(end, start + at), Math.min(end, start + at + round)),
          r * round,
        );
      }
      await this.meet(call, 0, i);
      let from = 0;
      for (const rank of this.partners()) {
        const length = parts[rank][1] - parts[rank][0];
        const now = Math.max(0, Math.min(round, length - at));
        if (now > 0)
          combineTree('sum', views(slots, rank * round, rank * round + now), [
            sums.subarray(from + at, from + at + now),
          ]);
        from += length;
      }
    }
  }

  /** The own parts of all machines one after another. */
  private async gatherAcross(call: Call, input: Float32Array, mine: Parts): Promise<Float32Array> {
    if (this.isOneNode) return input;
    const within = partsWithin(mine);
    const gathered = new Float32Array(within.at(-1)![1]);
    await this.across.allGather(call, input, gathered, within);
    return gathered;
  }

  private async gatherStaged(call: Call, gathered: Float32Array, output: Float32Array, parts: Parts): Promise<void> {
    const { memory, topology } = this;
    const round = memory.slotBytes / FLOAT_BYTES;
    /** What the rank at each place of this machine holds: the parts of its partners, one after another. */
    const held = this.ranks.map((_, index) => topology.nodes.map((ranks) => parts[ranks[index]]));
    const longest = Math.max(...held.map((all) => partsWithin(all).at(-1)![1]));
    for (let at = 0, i = 0; at < longest || i === 0; at += round, i++) {
      const slots = memory.nextSlots().map(floatsOf);
      slots[memory.index].set(gathered.subarray(at, at + round));
      await this.meet(call, 0, i);
      for (const [index, all] of held.entries()) {
        for (const [k, [start, end]] of partsWithin(all).entries()) {
          const [first, last] = [Math.max(start, at), Math.min(end, at + round)];
          if (first >= last) continue;
          output.set(slots[index].subarray(first - at, last - at), all[k][0] + first - start);
        }
      }
    }
  }

  /** @throws SlipError `peer-lost` when a rank of this machine is at something else */
  private async meet(call: Call, arena: number, place: number): Promise<void> {
    const own = descriptorOf(
      call.sequence,
      OPERATIONS.indexOf(call.operation),
      DTYPES.indexOf(call.dtype),
      call.elements,
      call.root,
      arena,
      place,
    );
    const other = await this.memory.board.meet(own, () => describeTag({ ...call, chunk: 0 }));
    if (other !== undefined)
      throw disagreement(call, this.ranks[this.memory.index], this.ranks[other.index], other.descriptor);
  }

  private pieces(buffer: Float32Array, bytes: number): Float32Array[] {
    const size = bytes / FLOAT_BYTES;
    const count = Math.max(1, Math.ceil(buffer.length / size));
    return Array.from({ length: count }, (_, i) => buffer.subarray(i * size, (i + 1) * size));
  }
}

function disagreement(call: Call, rank: number, other: number, descriptor: Descriptor): SlipError {
  const [sequence, operation, dtype, elements, root, arena] = descriptor;
  const theirs = {
    operation: OPERATIONS[operation],
    sequence: sequence >>> 0,
    dtype: DTYPES[dtype],
    elements: elements >>> 0,
    root,
    chunk: 0,
  };
  const isSame = describeTag(theirs) === describeTag({ ...call, chunk: 0 });
  const where = isSame ? ` (with ${arena === 0 ? 'memory of its own' : `arena ${arena}`})` : '';
  return new SlipError(
    'peer-lost',
    `ranks disagree: rank ${other} is at ${describeTag(theirs)}${where}, rank ${rank} at ${describeTag({ ...call, chunk: 0 })}; ` +
      'do all nodes run the same version with the same configuration and data?',
    { details: { rank: other } },
  );
}

function views(buffers: readonly Float32Array[], start: number, end: number): Float32Array[] {
  return buffers.map((buffer) => buffer.subarray(start, end));
}

/** The same parts with nothing between them. */
function partsWithin(parts: Parts): Parts {
  let end = 0;
  return parts.map(([start, stop]) => {
    const from = end;
    end += stop - start;
    return [from, end];
  });
}

function floatsOf(bytes: Uint8Array): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.byteLength / FLOAT_BYTES));
}

function copyUnlessThere(values: Float32Array, target: Float32Array): void {
  if (values.buffer !== target.buffer || values.byteOffset !== target.byteOffset) target.set(values);
}

// What the ranks of one machine share: the board where they meet, staging slots for values that lie elsewhere, and arenas that
// all can read and write. How values are combined is the collectives' business.
import { show } from '../vector/kernel-memory.js';
import { Board, type BoardOptions, boardBytes } from './board.js';
import type { Native } from './native.js';
import { PAGE, type Segment } from './segment.js';

/** Of a rank's staging, in two slots that are used in turns; less where many ranks share a machine. */
const STAGING_BYTES = 2 << 20;
const ALL_STAGING_BYTES = 32 << 20;

/** Memory of all ranks of the machine for one buffer each, or one for all. */
export interface Arena {
  /** Every rank's values, by index on the machine; the same memory for all where the arena is common. */
  readonly parts: readonly Float32Array[];
  readonly isCommon: boolean;
}

/** Where a buffer lies in an arena. */
export interface Found {
  readonly arena: Arena;
  /** Number of the arena, equal on all ranks. */
  readonly id: number;
  /** Elements from the start of the rank's part. */
  readonly offset: number;
}

export class NodeMemory {
  readonly board: Board;
  /** Bytes of a staging slot. */
  readonly slotBytes: number;
  readonly index: number;
  readonly ranks: number;
  private readonly native: Native;
  private readonly memory: ArrayBuffer;
  private readonly arenas: Arena[] = [];
  private turn = 0;

  constructor(memory: ArrayBuffer, options: Omit<BoardOptions, 'memory'>) {
    this.native = options.native;
    this.index = options.index;
    this.ranks = options.ranks;
    this.memory = memory;
    this.slotBytes = slotBytesOf(options.ranks);
    this.board = new Board({ ...options, memory });
  }

  /** The slots of all ranks for the next staged exchange; those of the one before may still be read by others. */
  nextSlots(): Uint8Array[] {
    this.turn = 1 - this.turn;
    const start = roundUp(boardBytes(this.ranks));
    return Array.from({ length: this.ranks }, (_, rank) => {
      return new Uint8Array(this.memory, start + (2 * rank + this.turn) * this.slotBytes, this.slotBytes);
    });
  }

  /** The arena that a buffer is part of, if any. */
  find(buffer: Float32Array): Found | undefined {
    for (const [i, arena] of this.arenas.entries()) {
      const own = arena.parts[this.index];
      if (own.buffer !== buffer.buffer) continue;
      const offset = (buffer.byteOffset - own.byteOffset) / Float32Array.BYTES_PER_ELEMENT;
      if (offset >= 0 && offset + buffer.length <= own.length) return { arena, id: i + 1, offset };
    }
    return undefined;
  }

  /** Maps what all ranks of the machine have reserved. @returns the own part */
  addArena(segment: Segment, elements: number, isCommon: boolean): Float32Array {
    const memory = this.native.map(segment.fd, segment.bytes);
    const stride = isCommon ? 0 : partBytes(elements);
    const parts = Array.from({ length: this.ranks }, (_, rank) => new Float32Array(memory, rank * stride, elements));
    this.arenas.push({ parts, isCommon });
    show(parts[this.index]);
    return parts[this.index];
  }
}

/** The segment of the board and the staging slots of so many ranks. */
export function controlBytes(ranks: number): number {
  return roundUp(boardBytes(ranks)) + 2 * ranks * slotBytesOf(ranks);
}

export function arenaBytes(elements: number, ranks: number, isCommon: boolean): number {
  return Math.max(PAGE, partBytes(elements) * (isCommon ? 1 : ranks));
}

function slotBytesOf(ranks: number): number {
  return roundUp(Math.min(STAGING_BYTES, ALL_STAGING_BYTES / ranks) / 2);
}

function partBytes(elements: number): number {
  return roundUp(elements * Float32Array.BYTES_PER_ELEMENT);
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE) * PAGE;
}

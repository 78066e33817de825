// The memory of batches, used again and again.
import type { BatchShape } from './batch-slot.js';
import { createSlot } from './batch-slot.js';
import type { Slot } from './loader-pool.js';

export class SlotRing {
  private readonly shape: BatchShape;
  private readonly size: number;
  private readonly free: Slot[] = [];
  private existing = 0;
  private nextId = 0;

  /** @param size slots that are kept; while dropped batches are still being made there may be more */
  constructor(shape: BatchShape, size: number) {
    this.shape = shape;
    this.size = size;
  }

  /** @throws SlipError `config` when batches are too large */
  take(): Slot {
    const slot = this.free.pop();
    if (slot !== undefined) return slot;
    this.existing += 1;
    return { id: this.nextId++, memory: createSlot(this.shape) };
  }

  give(slot: Slot): void {
    if (this.existing <= this.size) this.free.push(slot);
    else this.existing -= 1;
  }
}

// Memory of one micro-batch: its views, tokens or labels in front, room to make them behind. Loader threads write into it and the
// trainer reads from it; nothing is copied in between.
import { SlipError } from '@slip/core';
import { createKernelMemory, type KernelMemory, MAX_MEMORY_BYTES } from '../vector/kernel-memory.js';

export type View = 'image' | 'aug1' | 'aug2' | 'tokens';

export interface BatchShape {
  readonly views: readonly View[];
  readonly hasLabels: boolean;
  readonly imageSize: number;
  readonly contextLength: number;
  /** Largest number of rows. */
  readonly rows: number;
}

export interface BatchArrays {
  /** [rows, 3, S, S], normalised. */
  readonly image?: Float32Array;
  readonly aug1?: Float32Array;
  readonly aug2?: Float32Array;
  /** [rows, context length] */
  readonly tokens?: Int32Array;
  readonly labels?: Int32Array;
}

/** Decoded pictures are held behind the batch; one that is larger makes the memory grow. */
const ROOM_BYTES = 4 << 20;

/** Bytes of a batch of this shape. */
export function batchBytes(shape: BatchShape): number {
  const { views, hasLabels, rows } = shape;
  return views.reduce((sum, view) => sum + viewBytes(shape, view), 0) + (hasLabels ? 4 * rows : 0) + ALIGNMENT;
}

/** @throws SlipError `config` when it cannot be addressed */
export function createSlot(shape: BatchShape): KernelMemory {
  const bytes = batchBytes(shape) + ROOM_BYTES;
  if (bytes > MAX_MEMORY_BYTES / 2) {
    throw new SlipError(
      'config',
      `the views of ${shape.rows} rows at ${shape.imageSize} pixels need ${(bytes / 2 ** 30).toFixed(1)} GiB, and a worker's ` +
        'micro-batch may have 2; lower --batch-size and raise --update-freq',
    );
  }
  return createKernelMemory(bytes);
}

/** Views of the memory for a batch of so many rows, at most those of the shape. */
export function arraysIn({ buffer }: KernelMemory, shape: BatchShape, rows: number): BatchArrays {
  const arrays: Record<string, Float32Array | Int32Array> = {};
  let at = 0;
  for (const view of shape.views) {
    const length = (viewBytes(shape, view) / 4 / shape.rows) * rows;
    arrays[view] = view === 'tokens' ? new Int32Array(buffer, at, length) : new Float32Array(buffer, at, length);
    at += viewBytes(shape, view);
  }
  if (shape.hasLabels) arrays.labels = new Int32Array(buffer, at, rows);
  return arrays;
}

/** Where the room begins. */
export function roomIn(shape: BatchShape): number {
  return ALIGNMENT * Math.floor(batchBytes(shape) / ALIGNMENT);
}

const ALIGNMENT = 64;

function viewBytes({ imageSize, contextLength, rows }: BatchShape, view: View): number {
  return 4 * rows * (view === 'tokens' ? contextLength : 3 * imageSize ** 2);
}

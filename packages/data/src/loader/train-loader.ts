// The stream of micro-batches of one rank: in order, prefetched, from any position at once.
import os from 'node:os';
import { invariant, SlipError } from '@slip/core';
import type { IndexingProgress } from '../datasets/captioned-dataset.js';
import { countBatches, createSampler } from '../sampler/sample-order.js';
import { type BatchOptions, type Replaced, shapeOf } from './batch-maker.js';
import { arraysIn, type BatchArrays, batchBytes } from './batch-slot.js';
import { inlinePool, type LoaderPool, type Slot, threadPool } from './loader-pool.js';
import { type AnyLocation, openAny } from './open-any.js';
import { SlotRing } from './slot-ring.js';

export interface TrainLoaderOptions extends Omit<BatchOptions, 'cacheBytes' | 'maxRows'> {
  /** Memory for decoded pictures, all threads of this rank together; 256 MiB unless given. */
  readonly cacheBytes?: number;
  readonly dataset: AnyLocation;
  readonly rank: number;
  /** Rows of a micro-batch on each rank; equal with the sampler `torch`. */
  readonly rows: readonly number[];
  readonly sampler: 'slip' | 'torch';
  /** A micro-batch at the end of an epoch that is not full counts too; ranks then have fewer rows, or none. */
  readonly keepLast?: boolean;
  /** Places in the micro-batch whose samples this rank loads after its own; with the sampler `slip` only. */
  readonly extraRows?: readonly number[];
  /** Loader threads, at most the cores of the machine; 0 makes batches in this thread. */
  readonly workers: number;
  /** Bytes that batches made ahead of need may take, one at least; there are never more than one for each thread, and one. */
  readonly prefetchBytes: number;
}

const MAX_REASONS = 5;
const CACHE_BYTES = 256 * 1024 * 1024;

/** Its arrays are valid until the next call of `next`, `seek` or `close`. */
export interface TrainBatch extends BatchArrays {
  readonly epoch: number;
  /** Micro-batch within the epoch. */
  readonly index: number;
  readonly samples: Uint32Array;
  /** How long `next` waited for it. */
  readonly waitMs: number;
}

export interface TrainLoader {
  readonly datasetSize: number;
  readonly batchesPerEpoch: number;
  /** Samples replaced so far because they could not be read. */
  readonly replacedSamples: number;
  /** Why, for the first few different ones. */
  readonly replacedBecause: readonly string[];
  /** The next batch will be this one; nothing is replayed, and what was prefetched for it already is kept. */
  seek(epoch: number, batch: number): void;
  /** After the last batch of an epoch comes the first of the next. @throws SlipError `data` for an unreadable sample */
  next(): Promise<TrainBatch>;
  /** Ends the threads; a batch that is still awaited is rejected. */
  close(): Promise<void>;
}

/**
 * @param onIndexing told of the work on a set that is opened for the first time
 * @throws SlipError `data` when the set cannot be read or is too small for one micro-batch
 */
export async function createTrainLoader(
  options: TrainLoaderOptions,
  onIndexing?: IndexingProgress,
): Promise<TrainLoader> {
  const dataset = await openAny(options.dataset, onIndexing);
  const batchesPerEpoch = countBatches({ ...options, datasetSize: dataset.length });
  if (batchesPerEpoch === 0) {
    throw new SlipError(
      'data',
      `${options.dataset.dataset} at ${options.dataset.root} has ${dataset.length} samples, too few for one micro-batch of ` +
        `${options.rows.reduce((sum, rows) => sum + rows, 0)} rows on ${options.rows.length} ranks; lower --batch-size or the number of ranks`,
    );
  }
  const numThreads = Math.min(options.workers, os.availableParallelism());
  const making = batchOptions(options, (options.cacheBytes ?? CACHE_BYTES) / Math.max(1, numThreads));
  const sizes = { datasetSize: dataset.length, batchesPerEpoch };
  if (numThreads === 0) return new PrefetchingLoader(options, making, inlinePool(dataset, making), sizes);
  dataset.close();
  return new PrefetchingLoader(options, making, threadPool(options.dataset, making, numThreads), sizes);
}

/** Only what a thread can be sent. */
function batchOptions(options: TrainLoaderOptions, cacheBytes: number): BatchOptions {
  const { views, labelled, imageSize, contextLength, seed, truncate, transforms, badSamples } = options;
  const ofLabelled = labelled === undefined ? {} : { labelled };
  const maxRows = options.rows[options.rank] + (options.extraRows?.length ?? 0);
  return {
    ...{ views, imageSize, contextLength, seed, truncate, transforms, badSamples, cacheBytes, maxRows },
    ...ofLabelled,
  };
}

interface Prefetched {
  readonly position: number;
  readonly samples: Uint32Array;
  readonly slot: Slot;
  readonly made: Promise<Replaced>;
}

class PrefetchingLoader implements TrainLoader {
  readonly datasetSize: number;
  readonly batchesPerEpoch: number;
  readonly replacedBecause: string[] = [];
  replacedSamples = 0;
  private readonly pool: LoaderPool;
  private readonly ahead: number;
  private readonly ring: SlotRing;
  private readonly making: BatchOptions;
  private readonly samplesOf: (epoch: number, batch: number) => Uint32Array;
  private closed = false;
  /** Micro-batches since the start of epoch 0. */
  private position = 0;
  private queue: Prefetched[] = [];
  /** What the caller is reading. */
  private lent: Slot | undefined;

  constructor(
    options: TrainLoaderOptions,
    making: BatchOptions,
    pool: LoaderPool,
    { datasetSize, batchesPerEpoch }: { datasetSize: number; batchesPerEpoch: number },
  ) {
    this.datasetSize = datasetSize;
    this.batchesPerEpoch = batchesPerEpoch;
    this.pool = pool;
    this.making = making;
    const shape = shapeOf(making);
    this.ahead = Math.max(1, Math.min(pool.ahead, Math.floor(options.prefetchBytes / batchBytes(shape))));
    this.ring = new SlotRing(shape, this.ahead + 1);
    this.samplesOf = createSampler({ ...options, datasetSize });
  }

  seek(epoch: number, batch: number): void {
    this.takeBack();
    this.position = epoch * this.batchesPerEpoch + batch;
    while (this.queue.length > 0 && this.queue[0].position !== this.position) this.drop(this.queue.shift()!);
  }

  async next(): Promise<TrainBatch> {
    invariant(!this.closed, 'a closed loader was asked for a batch');
    const startedAt = performance.now();
    this.takeBack();
    this.prefetch();
    const { position, samples, slot, made } = this.queue.shift()!;
    this.lent = slot;
    const replaced = await made.catch((error: unknown) => {
      // What failed is next again, not skipped.
      for (const later of this.queue) this.drop(later);
      this.queue = [];
      this.position = position;
      throw error;
    });
    invariant(!this.closed, 'the loader was closed while a batch was awaited');
    this.note(replaced);
    this.position = position + 1;
    this.prefetch();
    const index = position % this.batchesPerEpoch;
    const epoch = Math.floor(position / this.batchesPerEpoch);
    const arrays = arraysIn(slot.memory, shapeOf(this.making), samples.length);
    return { epoch, index, samples, waitMs: performance.now() - startedAt, ...arrays };
  }

  async close(): Promise<void> {
    this.closed = true;
    this.queue = [];
    await this.pool.close();
  }

  private prefetch(): void {
    while (this.queue.length < this.ahead) {
      const position = (this.queue.at(-1)?.position ?? this.position - 1) + 1;
      const epoch = Math.floor(position / this.batchesPerEpoch);
      const samples = this.samplesOf(epoch, position % this.batchesPerEpoch);
      const slot = this.ring.take();
      const made = this.pool.make(epoch, samples, slot);
      // It may never be asked for; an error belongs to the `next` that meets it.
      made.catch(() => undefined);
      this.queue.push({ position, samples, slot, made });
    }
  }

  private takeBack(): void {
    if (this.lent !== undefined) this.ring.give(this.lent);
    this.lent = undefined;
  }

  /** Its memory is free when nobody writes into it any more. */
  private drop({ slot, made }: Prefetched): void {
    const free = () => this.ring.give(slot);
    made.then(free, free);
  }

  private note(replaced: Replaced): void {
    this.replacedSamples += replaced.length;
    for (const why of replaced) {
      if (this.replacedBecause.length < MAX_REASONS && !this.replacedBecause.includes(why))
        this.replacedBecause.push(why);
    }
  }
}

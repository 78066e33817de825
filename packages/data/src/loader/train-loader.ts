// The stream of micro-batches of one rank: in order, prefetched, from any position at once.
import os from 'node:os';
import { invariant, SlipError } from '@slip/core';
import type { IndexingProgress } from '../datasets/captioned-dataset.js';
import { countBatches, createSampler } from '../sampler/sample-order.js';
import type { BatchOptions, MadeBatch } from './batch-maker.js';
import { inlinePool, type LoaderPool, threadPool } from './loader-pool.js';
import { type AnyLocation, openAny } from './open-any.js';

export interface TrainLoaderOptions extends Omit<BatchOptions, 'cacheBytes'> {
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
  /** Batches asked for ahead of need; by default one more than there are threads. */
  readonly prefetchBatches?: number;
}

/** Memory for decoded pictures, all threads of a rank together. */
const CACHE_BYTES = 256 * 1024 * 1024;

export interface TrainBatch extends Omit<MadeBatch, 'replaced'> {
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
  const making = batchOptions(options, CACHE_BYTES / Math.max(1, numThreads));
  if (numThreads === 0)
    return new PrefetchingLoader(options, inlinePool(dataset, making), dataset.length, batchesPerEpoch);
  dataset.close();
  const pool = threadPool(options.dataset, making, numThreads);
  return new PrefetchingLoader(options, pool, dataset.length, batchesPerEpoch);
}

/** Only what a thread can be sent. */
function batchOptions(options: TrainLoaderOptions, cacheBytes: number): BatchOptions {
  const { views, labelled, imageSize, contextLength, seed, truncate, badSamples } = options;
  const ofLabelled = labelled === undefined ? {} : { labelled };
  return { views, imageSize, contextLength, seed, truncate, badSamples, cacheBytes, ...ofLabelled };
}

interface Prefetched {
  readonly position: number;
  readonly samples: Uint32Array;
  readonly batch: Promise<MadeBatch>;
}

class PrefetchingLoader implements TrainLoader {
  readonly datasetSize: number;
  readonly batchesPerEpoch: number;
  replacedSamples = 0;
  private readonly pool: LoaderPool;
  private readonly ahead: number;
  private closed = false;
  private readonly samplesOf: (epoch: number, batch: number) => Uint32Array;
  /** Micro-batches since the start of epoch 0. */
  private position = 0;
  private queue: Prefetched[] = [];

  constructor(options: TrainLoaderOptions, pool: LoaderPool, datasetSize: number, batchesPerEpoch: number) {
    this.datasetSize = datasetSize;
    this.batchesPerEpoch = batchesPerEpoch;
    this.pool = pool;
    this.ahead = Math.max(1, options.prefetchBatches ?? pool.ahead);
    this.samplesOf = createSampler({ ...options, datasetSize });
  }

  seek(epoch: number, batch: number): void {
    this.position = epoch * this.batchesPerEpoch + batch;
    while (this.queue.length > 0 && this.queue[0].position !== this.position) this.queue.shift();
  }

  async next(): Promise<TrainBatch> {
    invariant(!this.closed, 'a closed loader was asked for a batch');
    const startedAt = performance.now();
    this.prefetch();
    const { position, samples, batch } = this.queue.shift()!;
    const { replaced, ...views } = await batch.catch((error: unknown) => {
      // What failed is next again, not skipped.
      this.queue = [];
      this.position = position;
      throw error;
    });
    invariant(!this.closed, 'the loader was closed while a batch was awaited');
    this.replacedSamples += replaced;
    this.position = position + 1;
    this.prefetch();
    const index = position % this.batchesPerEpoch;
    const epoch = Math.floor(position / this.batchesPerEpoch);
    return { epoch, index, samples, waitMs: performance.now() - startedAt, ...views };
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
      const batch = this.pool.make(epoch, samples);
      // It may never be asked for; an error belongs to the `next` that meets it.
      batch.catch(() => undefined);
      this.queue.push({ position, samples, batch });
    }
  }
}

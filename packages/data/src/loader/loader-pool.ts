// Where batches are made: in this thread, or by long-lived loader threads in turn.
import { Worker } from 'node:worker_threads';
import { type ErrorCode, SlipError } from '@slip/core';
import type { CaptionedDataset, DatasetLocation } from '../datasets/captioned-dataset.js';
import { BatchMaker, type BatchOptions, type MadeBatch } from './batch-maker.js';
import type { LoaderThreadData } from './loader-thread.js';

export interface LoaderPool {
  /** How many batches it is worth to ask for ahead. */
  readonly ahead: number;
  make(epoch: number, samples: Uint32Array): Promise<MadeBatch>;
  close(): Promise<void>;
}

export function inlinePool(dataset: CaptionedDataset, options: BatchOptions): LoaderPool {
  const maker = new BatchMaker(dataset, options);
  return { ahead: 1, make: (epoch, samples) => maker.make(epoch, samples), close: async () => {} };
}

export function threadPool(location: DatasetLocation, options: BatchOptions, numThreads: number): LoaderPool {
  const waiting = new Map<number, { resolve(batch: MadeBatch): void; reject(error: Error): void }>();
  let nextId = 0;
  const threads = Array.from({ length: numThreads }, () => {
    const workerData: LoaderThreadData = { location, options };
    const thread = new Worker(new URL('./loader-thread.js', import.meta.url), { workerData, name: 'loader' });
    thread.on(
      'message',
      ({ id, batch, error }: { id: number; batch?: MadeBatch; error?: { code: ErrorCode; message: string } }) => {
        const asker = waiting.get(id);
        waiting.delete(id);
        if (batch !== undefined) asker?.resolve(batch);
        else asker?.reject(new SlipError(error!.code, error!.message));
      },
    );
    thread.on('error', (error) => {
      for (const asker of waiting.values()) asker.reject(error);
      waiting.clear();
    });
    thread.unref();
    return thread;
  });
  return {
    ahead: numThreads + 1,
    make: (epoch, samples) =>
      new Promise((resolve, reject) => {
        const id = nextId++;
        waiting.set(id, { resolve, reject });
        threads[id % numThreads].ref();
        threads[id % numThreads].postMessage({ id, epoch, samples });
      }),
    async close() {
      await Promise.all(threads.map((thread) => thread.terminate()));
    },
  };
}

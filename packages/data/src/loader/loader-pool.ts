// Where batches are made: in this thread, or by long-lived loader threads in turn.
import { Worker } from 'node:worker_threads';
import { type ErrorCode, SlipError } from '@slip/core';
import { type AnyDataset, BatchMaker, type BatchOptions, type MadeBatch } from './batch-maker.js';
import type { LoaderThreadData } from './loader-thread.js';
import type { AnyLocation } from './open-any.js';

export interface LoaderPool {
  /** How many batches it is worth to ask for ahead. */
  readonly ahead: number;
  /** Rejected when the batch cannot be made, its thread has ended or the pool is closed. */
  make(epoch: number, samples: Uint32Array): Promise<MadeBatch>;
  close(): Promise<void>;
}

export function inlinePool(dataset: AnyDataset, options: BatchOptions): LoaderPool {
  const maker = new BatchMaker(dataset, options);
  return { ahead: 1, make: (epoch, samples) => maker.make(epoch, samples), close: async () => dataset.close() };
}

export function threadPool(location: AnyLocation, options: BatchOptions, numThreads: number): LoaderPool {
  const threads = Array.from({ length: numThreads }, () => new LoaderThread({ location, options }));
  let turn = 0;
  return {
    ahead: numThreads + 1,
    make: (epoch, samples) => threads[turn++ % numThreads].make(epoch, samples),
    async close() {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

interface Reply {
  readonly id: number;
  readonly batch?: MadeBatch;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

interface Asker {
  resolve(batch: MadeBatch): void;
  reject(error: Error): void;
}

/** One thread and the requests it has not answered. From the first request on it keeps the process alive until closed. */
class LoaderThread {
  private readonly thread: Worker;
  private readonly waiting = new Map<number, Asker>();
  private nextId = 0;
  private ended: SlipError | undefined;

  constructor(workerData: LoaderThreadData) {
    this.thread = new Worker(new URL('./loader-thread.js', import.meta.url), { workerData, name: 'loader' });
    this.thread.on('message', (reply: Reply) => this.answer(reply));
    this.thread.on('error', (error) => {
      this.end(new SlipError('internal', `a loader thread failed: ${error.message}`, { cause: error }));
    });
    this.thread.on('exit', (code) => this.end(new SlipError('internal', `a loader thread ended with code ${code}`)));
    this.thread.unref();
  }

  make(epoch: number, samples: Uint32Array): Promise<MadeBatch> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) {
        reject(this.ended);
        return;
      }
      const id = this.nextId++;
      this.waiting.set(id, { resolve, reject });
      this.thread.ref();
      this.thread.postMessage({ id, epoch, samples });
    });
  }

  async close(): Promise<void> {
    this.end(new SlipError('internal', 'the loader was closed while a batch was awaited'));
    await this.thread.terminate();
  }

  private answer({ id, batch, error }: Reply): void {
    const asker = this.waiting.get(id);
    this.waiting.delete(id);
    if (error !== undefined) asker?.reject(new SlipError(error.code, error.message));
    else asker?.resolve(batch!);
  }

  private end(reason: SlipError): void {
    this.ended ??= reason;
    for (const asker of this.waiting.values()) asker.reject(this.ended);
    this.waiting.clear();
  }
}

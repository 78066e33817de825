// Where batches are made: in this thread, or by long-lived loader threads in turn.
import { Worker } from 'node:worker_threads';
import { type ErrorCode, SlipError } from '@slip/core';
import type { KernelMemory } from '../vector/kernel-memory.js';
import { type AnyDataset, BatchMaker, type BatchOptions, type Replaced } from './batch-maker.js';
import type { LoaderRequest, LoaderThreadData } from './loader-thread.js';
import type { AnyLocation } from './open-any.js';

/** Memory of one batch. */
export interface Slot {
  readonly id: number;
  readonly memory: KernelMemory;
}

export interface LoaderPool {
  /** How many batches it is worth to ask for ahead. */
  readonly ahead: number;
  /** Writes a batch into memory. Rejected when it cannot be made, its thread has ended or the pool is closed. */
  make(epoch: number, samples: Uint32Array, slot: Slot): Promise<Replaced>;
  close(): Promise<void>;
}

export function inlinePool(dataset: AnyDataset, options: BatchOptions): LoaderPool {
  const maker = new BatchMaker(dataset, options);
  return {
    ahead: 1,
    make: (epoch, samples, { memory }) => maker.make(epoch, samples, memory),
    close: async () => dataset.close(),
  };
}

export function threadPool(location: AnyLocation, options: BatchOptions, numThreads: number): LoaderPool {
  const threads = Array.from({ length: numThreads }, () => new LoaderThread({ location, options }));
  let turn = 0;
  return {
    ahead: numThreads + 1,
    make: (epoch, samples, slot) => threads[turn++ % numThreads].make(epoch, samples, slot),
    async close() {
      await Promise.all(threads.map((thread) => thread.close()));
    },
  };
}

interface Reply {
  readonly id: number;
  readonly replaced?: Replaced;
  readonly error?: { readonly code: ErrorCode; readonly message: string };
}

interface Asker {
  resolve(replaced: Replaced): void;
  reject(error: Error): void;
}

/** One thread and the requests it has not answered. From the first request on it keeps the process alive until closed. */
class LoaderThread {
  private readonly thread: Worker;
  private readonly waiting = new Map<number, Asker>();
  private readonly knownSlots = new Set<number>();
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

  make(epoch: number, samples: Uint32Array, { id: slot, memory }: Slot): Promise<Replaced> {
    return new Promise((resolve, reject) => {
      if (this.ended !== undefined) {
        reject(this.ended);
        return;
      }
      const id = this.nextId++;
      this.waiting.set(id, { resolve, reject });
      this.thread.ref();
      const request: LoaderRequest = { id, epoch, samples, slot };
      this.thread.postMessage(this.knownSlots.has(slot) ? request : { ...request, memory });
      this.knownSlots.add(slot);
    });
  }

  async close(): Promise<void> {
    this.end(new SlipError('internal', 'the loader was closed while a batch was awaited'));
    await this.thread.terminate();
  }

  private answer({ id, replaced, error }: Reply): void {
    const asker = this.waiting.get(id);
    this.waiting.delete(id);
    if (error !== undefined) asker?.reject(new SlipError(error.code, error.message));
    else asker?.resolve(replaced!);
  }

  private end(reason: SlipError): void {
    this.ended ??= reason;
    for (const asker of this.waiting.values()) asker.reject(this.ended);
    this.waiting.clear();
  }
}

// A loader thread: makes the batches it is asked for, in the memory it is given.
import { parentPort, workerData } from 'node:worker_threads';
import { SlipError } from '@slip/core';
import type { KernelMemory } from '../vector/kernel-memory.js';
import { BatchMaker, type BatchOptions } from './batch-maker.js';
import { type AnyLocation, openAny } from './open-any.js';

export interface LoaderThreadData {
  readonly location: AnyLocation;
  readonly options: BatchOptions;
}

/** A slot's memory comes with its first request. */
export interface LoaderRequest {
  readonly id: number;
  readonly epoch: number;
  readonly samples: Uint32Array;
  readonly slot: number;
  readonly memory?: KernelMemory;
}

const { location, options } = workerData as LoaderThreadData;
const maker = openAny(location).then((dataset) => new BatchMaker(dataset, options));
// Whoever asks for a batch is told.
maker.catch(() => undefined);
const memories = new Map<number, KernelMemory>();
let before: Promise<unknown> = Promise.resolve();

parentPort!.on('message', (request: LoaderRequest) => {
  if (request.memory !== undefined) memories.set(request.slot, request.memory);
  // One after the other: a batch is wanted whole before the next is begun.
  before = before.then(() => answer(request));
});

async function answer({ id, epoch, samples, slot }: LoaderRequest): Promise<void> {
  try {
    const replaced = await (await maker).make(epoch, samples, memories.get(slot)!);
    parentPort!.postMessage({ id, replaced });
  } catch (thrown) {
    const { code, message } = SlipError.from(thrown);
    parentPort!.postMessage({ id, error: { code, message } });
  }
}

// A loader thread: makes the batches it is asked for and hands their memory over.
import { parentPort, workerData } from 'node:worker_threads';
import { SlipError } from '@slip/core';
import { BatchMaker, type BatchOptions } from './batch-maker.js';
import { type AnyLocation, openAny } from './open-any.js';

export interface LoaderThreadData {
  readonly location: AnyLocation;
  readonly options: BatchOptions;
}

export interface LoaderRequest {
  readonly id: number;
  readonly epoch: number;
  readonly samples: Uint32Array;
}

const { location, options } = workerData as LoaderThreadData;
const maker = openAny(location).then((dataset) => new BatchMaker(dataset, options));
// Whoever asks for a batch is told.
maker.catch(() => undefined);

parentPort!.on('message', async ({ id, epoch, samples }: LoaderRequest) => {
  try {
    const batch = await (await maker).make(epoch, samples);
    const memory = [batch.image, batch.aug1, batch.aug2, batch.tokens, batch.labels].flatMap(
      (view) => view?.buffer ?? [],
    );
    parentPort!.postMessage({ id, batch }, memory as ArrayBuffer[]);
  } catch (thrown) {
    const { code, message } = SlipError.from(thrown);
    parentPort!.postMessage({ id, error: { code, message } });
  }
});

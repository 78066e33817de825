// The tasks that use a model and train nothing, as a worker runs them.
import type { UseConfig } from '@slip/config';
import { type Logger, SlipError } from '@slip/core';
import { threadsPerWorker } from '../pretrain/run-training.js';
import { listenForStop } from '../pretrain/stop-request.js';
import type { WorkerEnvironment, WorkerSession } from '../session/session.js';
import { takeDevice } from '../session/take-device.js';
import { withGroup } from '../session/with-group.js';
import { runEmbed, type UsePlace } from './run-embed.js';
import { runPredict } from './run-predict.js';
import { runRecall } from './run-recall.js';
import { runRetrieve } from './run-retrieve.js';
import { runZeroShot } from './run-zeroshot.js';

export interface UseContext {
  readonly config: UseConfig;
  readonly environment: WorkerEnvironment;
  readonly session: WorkerSession;
  readonly log: Logger;
}

/** The whole life of a worker of such a task. */
export async function runUse(context: UseContext): Promise<'completed' | 'stopped'> {
  const { config, environment, session, log } = context;
  const stop = listenForStop((signal) => log.warn(`${signal} received: stopping after what is being computed`));
  return withGroup(context, config, async (group) => {
    const device = await takeDevice('cpu', environment, group, log);
    const place: UsePlace = {
      ...{ group, log, threads: threadsPerWorker(config, environment), device },
      cacheFolder: environment.cacheFolder,
      stopRequested: () => stop.signal !== undefined,
      showProgress: (progress) => session.showProgress(progress),
    };
    try {
      await runTask(config, place);
      return 'completed';
    } catch (error) {
      if (!(error instanceof SlipError) || error.code !== 'stopped') throw error;
      if (group.rank === 0) log.info('stopped; the same command goes on with what is there');
      return 'stopped';
    }
  });
}

function runTask(config: UseConfig, place: UsePlace): Promise<void> {
  // Results go to standard output, all else to the log.
  const print = (line: string) => process.stdout.write(`${line}\n`);
  switch (config.task) {
    case 'embed':
      return runEmbed(config, place);
    case 'recall':
      return runRecall(config, place);
    case 'retrieve':
      return runRetrieve(config, place, print);
    case 'predict':
      return runPredict(config, place, print);
    case 'zeroshot':
      return runZeroShot(config, place, print);
    default:
      return config satisfies never;
  }
}

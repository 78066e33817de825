// A worker process: joins the run it was started for, runs its task, and leaves with a documented exit code.
import { type AnyConfig, type BenchCommConfig, readBenchComm, readRunConfig, readUse } from '@slip/config';
import { createLogger, type Logger, SlipError } from '@slip/core';
import { joinRun, readWorkerEnvironment, type WorkerEnvironment, type WorkerSession } from './session/session.js';
import { withGroup } from './session/with-group.js';

interface Place {
  readonly environment: WorkerEnvironment;
  readonly session: WorkerSession;
  readonly log: Logger;
}

async function main(): Promise<number> {
  const environment = readWorkerEnvironment(process.env);
  const log = createLogger(`rank ${environment.rank}`);
  await loadTask(environment);
  const session = await joinRun(environment, log);
  try {
    const outcome = await runTask({ environment, session, log });
    await session.finish(outcome);
    return outcome === 'completed' ? 0 : new SlipError('stopped', '').exitCode;
  } catch (thrown) {
    const error = SlipError.from(thrown);
    log.error(error.toString());
    if (error.code === 'internal' && error.cause instanceof Error) log.error(String(error.cause.stack));
    await session.reportFailure(error, session.lastStep);
    return error.exitCode;
  } finally {
    await session.close();
  }
}

/**
 * Tensors and compiler take a second of every start, times the workers of a machine: loaded only where they are needed, and before
 * joining, because a worker that has joined may be signalled.
 */
async function loadTask({ configFile }: WorkerEnvironment): Promise<void> {
  // A file that cannot be read is reported once there is somebody to report to.
  const bench = await readBenchComm(configFile).catch(() => undefined);
  const use = await readUse(configFile).catch(() => undefined);
  if (bench !== undefined) await import('./bench-comm/run-bench-comm.js');
  else if (use !== undefined) await import('./use/run-use.js');
  else await import('./pretrain/run-training.js');
}

async function runTask(place: Place): Promise<'completed' | 'stopped'> {
  const { configFile } = place.environment;
  const bench = await readBenchComm(configFile);
  if (bench !== undefined) return benchComm(place, bench);
  const use = await readUse(configFile);
  if (use !== undefined) return (await import('./use/run-use.js')).runUse({ config: use, ...place });
  const { config, hash } = await readRunConfig(configFile);
  return train(place, config, hash);
}

async function train(place: Place, config: AnyConfig, configHash: string): Promise<'completed' | 'stopped'> {
  switch (config.task) {
    case undefined:
      return (await import('./pretrain/run-pretrain.js')).runPretrain({ config, configHash, ...place });
    case 'linear':
      return (await import('./classify/run-linear.js')).runLinear({ config, configHash, ...place });
    case 'finetune':
      return (await import('./classify/run-finetune.js')).runFinetune({ config, configHash, ...place });
    default:
      return config satisfies never;
  }
}

async function benchComm(place: Place, config: BenchCommConfig): Promise<'completed'> {
  const { runBenchComm } = await import('./bench-comm/run-bench-comm.js');
  const print = (line: string) => process.stdout.write(`${line}\n`);
  await withGroup(place, config, (group) => runBenchComm({ config, group, print }));
  return 'completed';
}

main().then(
  (code) => process.exit(code),
  (thrown: unknown) => {
    const error = SlipError.from(thrown);
    process.stderr.write(`${error.toString()}\n`);
    process.exit(error.exitCode);
  },
);

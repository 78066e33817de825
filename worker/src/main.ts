// A worker process: joins the run it was started for, runs its task, and leaves with a documented exit code.
import { type BenchCommConfig, readBenchComm, readRunConfig } from '@slip/config';
import { createLogger, type Logger, SlipError } from '@slip/core';
import { runBenchComm } from './bench-comm/run-bench-comm.js';
import { runPretrain } from './pretrain/run-pretrain.js';
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

async function runTask(place: Place): Promise<'completed' | 'stopped'> {
  const { configFile } = place.environment;
  const { config, hash } = await readRunConfig(configFile);
  const bench = await readBenchComm(configFile);
  return bench === undefined ? runPretrain({ config, configHash: hash, ...place }) : benchComm(place, bench);
}

async function benchComm(place: Place, config: BenchCommConfig): Promise<'completed'> {
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

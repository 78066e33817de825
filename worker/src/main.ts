// A worker process: joins the run it was started for, runs its task, and leaves with a documented exit code.
import { readRunConfig } from '@slip/config';
import { createLogger, SlipError } from '@slip/core';
import { runPretrain } from './pretrain/run-pretrain.js';
import { joinRun, readWorkerEnvironment } from './session/session.js';

async function main(): Promise<number> {
  const environment = readWorkerEnvironment(process.env);
  const log = createLogger(`rank ${environment.rank}`);
  const session = await joinRun(environment, log);
  try {
    const { config, hash } = await readRunConfig(environment.configFile);
    const outcome = await runPretrain({ config, configHash: hash, environment, session, log });
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

main().then(
  (code) => process.exit(code),
  (thrown: unknown) => {
    const error = SlipError.from(thrown);
    process.stderr.write(`${error.toString()}\n`);
    process.exit(error.exitCode);
  },
);

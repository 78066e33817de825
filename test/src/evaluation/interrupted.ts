// For tests: a task that waits at one of its pictures, so that it can be killed and stopped right there.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { type Running, start } from '../pretrain/launch-runs.js';
import { processesWith } from '../slurm/cluster.js';

/**
 * Runs slip-launch; at the picture one worker is killed, and the launcher is asked to stop when the workers that were started again are
 * there. The picture is back in its place afterwards.
 * @returns the output, after exit code 75
 */
export async function killedAndStopped(args: readonly string[], picture: string): Promise<string> {
  const bytes = readFileSync(picture);
  // A named pipe in its place: who reads it waits for its other end.
  rmSync(picture);
  execFileSync('mkfifo', [picture]);
  const run = start(args);
  const first = await reached(run, picture);
  process.kill(processesWith(`SLIP_AGENT_PID=${run.child.pid}`).at(-1)!, 'SIGKILL');
  await run.until(/restart 1 of 1/);
  await first.close();
  const second = await reached(run, picture);
  run.child.kill('SIGTERM');
  await run.until(/SIG\w+ received: stopping after what is being computed/);
  await second.writeFile(bytes);
  await second.close();
  const { code, output } = await run.finished;
  rmSync(picture);
  writeFileSync(picture, bytes);
  assert.equal(code, 75, output);
  assert.match(output, /killed by SIGKILL/);
  assert.match(output, /stopped; the same command goes on with what is there/);
  return output;
}

/** Opening succeeds when a worker has opened the other end. */
async function reached(run: Running, pipe: string): Promise<FileHandle> {
  const ended = run.finished.then(({ output }): never => assert.fail(`the picture was not read\n${output}`));
  return Promise.race([open(pipe, 'w'), ended]);
}

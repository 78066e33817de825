// A worker's second thread: beats for it while its main thread computes, and ends the process when its agent is gone. It
// must work while the main thread is blocked, so it shares nothing with it but the step; and since threads may be cut off
// at any point when a process exits, it uses no native library.
import { writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import { beatLine } from '@slip/protocol/worker-pipe';

export interface WatchThreadData {
  readonly agentPid: number;
  /** Pipe to the agent. */
  readonly heartbeatFd: number;
  /** One Int32: the last reported step. */
  readonly step: SharedArrayBuffer;
}

const BEAT_EVERY_MS = 500;
const CHECK_AGENT_EVERY_MS = 250;

const { agentPid, heartbeatFd, step } = workerData as WatchThreadData;
const steps = new Int32Array(step);
beat();
setInterval(beat, BEAT_EVERY_MS);
setInterval(() => {
  if (process.ppid !== agentPid) endProcess();
}, CHECK_AGENT_EVERY_MS);

function beat(): void {
  try {
    writeSync(heartbeatFd, beatLine(Atomics.load(steps, 0)));
  } catch (error) {
    // A pipe without a reader means a dead agent; a full one (the agent is suspended) costs a beat, no more.
    if ((error as NodeJS.ErrnoException).code === 'EPIPE') endProcess();
  }
}

/** Takes the process and its descendants down at once: the main thread may be blocked for minutes. */
function endProcess(): void {
  try {
    writeSync(2, `[peer-lost] worker leaves: its agent (pid ${agentPid}) is gone\n`);
  } catch {
    // Nobody reads our output any more.
  }
  try {
    process.kill(-process.pid, 'SIGKILL');
  } catch {
    process.kill(process.pid, 'SIGKILL');
  }
}

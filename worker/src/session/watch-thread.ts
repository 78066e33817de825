// A worker's second thread: beats for it while its main thread computes, and ends the process when agent or coordinator
// are gone. It must work while the main thread is blocked, so it shares nothing with it but the step counter.
import { writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { decodeMessage, encodeMessage, SilenceWatch } from '@slip/protocol';
import { Dealer } from 'zeromq';

export interface WatchThreadData {
  readonly coordinator: string;
  readonly launchId: string;
  readonly generation: number;
  readonly rank: number;
  readonly agentPid: number;
  /** One Int32: the last reported step. */
  readonly step: SharedArrayBuffer;
}

/** Posted to the thread once the coordinator has answered: from then on it beats. */
export interface BeatOrder {
  readonly heartbeatIntervalMs: number;
  readonly coordinatorTimeoutMs: number;
}

const CHECK_PARENT_EVERY_MS = 250;

function watchAgent({ agentPid }: WatchThreadData): void {
  setInterval(() => {
    if (process.ppid !== agentPid) endProcess(`the agent (pid ${agentPid}) is gone`);
  }, CHECK_PARENT_EVERY_MS);
}

function beat({ coordinator, launchId, generation, rank, step }: WatchThreadData, order: BeatOrder): void {
  const steps = new Int32Array(step);
  const dealer = new Dealer({ linger: 0, maxMessageSize: 1 << 20, sendTimeout: 0 });
  dealer.connect(coordinator);
  const silence = new SilenceWatch(order.heartbeatIntervalMs, performance.now());
  // The agent gives up on a silent coordinator first and ends us in good order; we follow where it could not.
  const patienceMs = 2 * order.coordinatorTimeoutMs;
  const beatOnce = (): void => {
    const message = encodeMessage({ kind: 'heartbeat', rank, generation, step: Atomics.load(steps, 0) }, launchId);
    dealer.send(message).catch(() => undefined);
    if (silence.check(performance.now()) > patienceMs)
      endProcess(`the coordinator has been silent for more than ${patienceMs / 1000} s`);
  };
  beatOnce();
  setInterval(beatOnce, order.heartbeatIntervalMs);
  void (async () => {
    for await (const [frame] of dealer) if (frame !== undefined && decodeMessage(frame).ok) silence.heard();
  })();
}

/** Takes the process and its descendants down at once: the main thread may be blocked for minutes. */
function endProcess(reason: string): void {
  try {
    writeSync(2, `[peer-lost] worker leaves: ${reason}\n`);
  } catch {
    // Nobody reads our output any more.
  }
  try {
    process.kill(-process.pid, 'SIGKILL');
  } catch {
    process.kill(process.pid, 'SIGKILL');
  }
}

const data = workerData as WatchThreadData;
watchAgent(data);
parentPort?.once('message', (order: BeatOrder) => beat(data, order));

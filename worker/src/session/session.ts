// A worker's part in the control plane: joining, finding its peers, telling how far it is, and leaving. Nothing of training.

import { writeSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { type Logger, SlipError, withDeadline } from '@slip/core';
import {
  beatLine,
  type ControlMessage,
  clipText,
  decodeMessage,
  encodeMessage,
  type Outcome,
  progressLine,
} from '@slip/protocol';
import { Dealer } from 'zeromq';
import type { WorkerEnvironment } from './environment.js';
import { writeErrorFile } from './error-file.js';
import type { WatchThreadData } from './watch-thread.js';

export { readWorkerEnvironment, type WorkerEnvironment } from './environment.js';

export interface WorkerSession {
  /**
   * Aborts with a SlipError `peer-lost` when this generation is over because some rank failed: stop waiting for others
   * and leave.
   */
  readonly aborted: AbortSignal;
  /** The last step given to `reportStep`, 0 before. */
  readonly lastStep: number;
  /**
   * Offers this worker's data-plane endpoint and waits for everybody's, in rank order. Once in a session; a signal that
   * comes before it returns ends the launch without asking the worker, so handlers have to be installed before it.
   */
  exchange(endpoint: string): Promise<string[]>;
  /** Cheap: the next heartbeat carries it. */
  reportStep(step: number): void;
  /** For the bar on the agent's terminal, if it has one; shown at most five times a second. `share` is 0 to 1. */
  showProgress(progress: { share: number; text: string }): void;
  /** Writes the error file and tells the coordinator, which ends the generation on all nodes. Never throws. */
  reportFailure(error: SlipError, step: number): Promise<void>;
  /** Says that the work is done; exit with code 0 (completed) or 75 (stopped) afterwards. @throws SlipError `peer-lost` */
  finish(outcome: Outcome): Promise<void>;
  close(): Promise<void>;
}

const REPEAT_EVERY_MS = 1000;
const SHOW_EVERY_MS = 200;
const JOIN_TIMEOUT_MS = 60_000;
const FINISH_TIMEOUT_MS = 15_000;

/**
 * Reports to the coordinator named in the environment and starts the heartbeat.
 * @throws SlipError `rendezvous` when the coordinator does not answer or turns the worker away
 */
export async function joinRun(environment: WorkerEnvironment, log: Logger): Promise<WorkerSession> {
  const session = new ZeroMqSession(environment, log);
  try {
    await session.join();
    return session;
  } catch (error) {
    await session.close();
    throw error;
  }
}

class ZeroMqSession implements WorkerSession {
  private readonly environment: WorkerEnvironment;
  private readonly log: Logger;
  private readonly dealer: Dealer;
  private readonly abortion = new AbortController();
  private readonly step = new Int32Array(new SharedArrayBuffer(4));
  private readonly waiting = new Map<ControlMessage['kind'], (message: ControlMessage) => void>();
  private sending: Promise<void> = Promise.resolve();
  private readonly thread: Worker;
  private isClosed = false;
  private progressShownAt = Number.NEGATIVE_INFINITY;

  constructor(environment: WorkerEnvironment, log: Logger) {
    this.environment = environment;
    this.log = log;
    this.dealer = new Dealer({ linger: 500, maxMessageSize: 1 << 20 });
    this.dealer.connect(environment.coordinator);
    void this.receive();
    // The first beat before the thread is up: from here on the agent expects them.
    writeSync(environment.heartbeatFd, beatLine(0));
    this.thread = this.startWatching();
  }

  get aborted(): AbortSignal {
    return this.abortion.signal;
  }

  get lastStep(): number {
    return Atomics.load(this.step, 0);
  }

  async join(): Promise<void> {
    const { generation, rank, host, runId } = this.environment;
    const hello: ControlMessage = { kind: 'workerHello', generation, rank, host, pid: process.pid, runId };
    const answer = this.ask(hello, ['welcome', 'reject']);
    const where = `the coordinator at ${this.environment.coordinator}`;
    const welcome = await withDeadline(answer, JOIN_TIMEOUT_MS, where, 'rendezvous');
    if (welcome.kind === 'reject') throw new SlipError(welcome.code, welcome.reason);
  }

  async exchange(endpoint: string): Promise<string[]> {
    const { generation, rank, worldSize } = this.environment;
    const table = await this.ask({ kind: 'workerJoin', generation, rank, endpoint }, ['peerTable']);
    if (table.kind !== 'peerTable' || table.endpoints.length !== worldSize)
      throw new SlipError('rendezvous', `the coordinator gave no table of ${worldSize} peers`);
    return table.endpoints;
  }

  reportStep(step: number): void {
    Atomics.store(this.step, 0, step);
  }

  showProgress({ share, text }: { share: number; text: string }): void {
    const now = performance.now();
    if (share < 1 && now - this.progressShownAt < SHOW_EVERY_MS) return;
    this.progressShownAt = now;
    try {
      writeSync(this.environment.heartbeatFd, progressLine(share, text));
    } catch {
      // A full pipe costs a picture of the bar, and what a broken one means is the heartbeat's business.
    }
  }

  async reportFailure(error: SlipError, step: number): Promise<void> {
    const { generation, rank, host, errorFile } = this.environment;
    const timeMs = Date.now();
    await writeErrorFile(errorFile, { error, rank, host, step, timeMs }).catch((problem) =>
      this.log.error(`cannot write ${errorFile}: ${problem.message}`),
    );
    const account = { code: error.code, message: clipText(error.message), step, timeMs };
    await this.send({ kind: 'failure', generation, rank, host, error: account });
  }

  async finish(outcome: Outcome): Promise<void> {
    const { generation, rank } = this.environment;
    const answer = this.ask({ kind: 'finished', generation, rank, outcome }, ['ack']);
    await withDeadline(answer, FINISH_TIMEOUT_MS, 'the coordinator to note that this rank has finished');
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    await this.thread.terminate();
    await withDeadline(this.sending, 500, 'the last messages').catch(() => undefined);
    this.dealer.close();
  }

  /** Repeats a message until one of the awaited kinds comes; rejects when the generation is aborted. */
  private async ask(message: ControlMessage, kinds: readonly ControlMessage['kind'][]): Promise<ControlMessage> {
    this.abortion.signal.throwIfAborted();
    let leave: (() => void) | undefined;
    const repeat = setInterval(() => void this.send(message), REPEAT_EVERY_MS);
    try {
      return await new Promise<ControlMessage>((resolve, reject) => {
        leave = () => reject(this.abortion.signal.reason);
        this.abortion.signal.addEventListener('abort', leave);
        for (const kind of kinds) this.waiting.set(kind, resolve);
        void this.send(message);
      });
    } finally {
      clearInterval(repeat);
      for (const kind of kinds) this.waiting.delete(kind);
      if (leave !== undefined) this.abortion.signal.removeEventListener('abort', leave);
    }
  }

  private send(message: ControlMessage): Promise<void> {
    const bytes = encodeMessage(message, this.environment.launchId);
    this.sending = this.sending
      .then(() => (this.isClosed ? undefined : this.dealer.send(bytes)))
      .catch(() => undefined);
    return this.sending;
  }

  private async receive(): Promise<void> {
    for await (const [frame] of this.dealer) {
      const result = decodeMessage(frame ?? new Uint8Array());
      if (!result.ok || result.launchId !== this.environment.launchId) continue;
      const { message } = result;
      if (message.kind !== 'abort') this.waiting.get(message.kind)?.(message);
      else if (message.generation === this.environment.generation && !this.abortion.signal.aborted) {
        this.abortion.abort(new SlipError('peer-lost', `this generation was ended: ${message.reason}`));
      }
    }
  }

  private startWatching(): Worker {
    const { agentPid, heartbeatFd } = this.environment;
    const workerData: WatchThreadData = { agentPid, heartbeatFd, step: this.step.buffer as SharedArrayBuffer };
    const thread = new Worker(new URL('./watch-thread.js', import.meta.url), { workerData, name: 'heartbeat' });
    // The thread never ends by itself; if it breaks, the agent hears no more of us and the generation is ended.
    thread.on('error', (error) => this.log.error(`the heartbeat thread failed: ${error.message}`));
    thread.unref();
    return thread;
  }
}

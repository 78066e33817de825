// The agent of one node: starts its workers when the coordinator says so, reports how each one left, passes signals on,
// and leaves nothing running. It decides nothing about the run.
import { mkdir } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { invariant, type Logger, SlipError } from '@slip/core';
import {
  type AgentHello,
  type ControlMessage,
  clipText,
  type Heartbeat,
  type StartGeneration,
  type WorkerError,
  type WorkerExited,
} from '@slip/protocol';
import { CoordinatorLink } from './coordinator-link.js';
import { readErrorFile, readLogTail, readUncaughtError } from './error-file.js';
import { type LogRouting, routeStreams } from './log-routing.js';
import { countMemoryKills, MEMORY_KILL } from './memory-kills.js';
import { ProgressBar } from './progress-bar.js';
import { HEARTBEAT_FD, type Terminal, type WorkerExit, WorkerProcess } from './worker-process.js';
import type { WorkerShare } from './worker-share.js';
import { workerEnvironment } from './worker-variables.js';

export interface AgentOptions {
  readonly hello: AgentHello;
  /** The coordinator as this node has to dial it, `tcp://host:port`. */
  readonly coordinator: string;
  readonly joinTimeoutMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly killGraceMs: number;
  readonly maxRestarts: number;
  readonly role: string;
  /** JavaScript file of the worker. */
  readonly workerExecutable: string;
  readonly configFile: string;
  /** Folder of an attempt: logs and errors of its workers. */
  readonly attemptFolder: (attempt: number) => string;
  /** Folder of an attempt's logs, when not inside the attempt's folder. */
  readonly logFolder?: (attempt: number) => string;
  readonly logRouting: LogRouting;
  /** What each worker gets for itself, by local rank; without it all of them share the node. */
  readonly shares?: readonly WorkerShare[];
  /** Called before workers are started for the first time. */
  readonly beforeStart?: () => Promise<void>;
  /** Passed on to the workers beneath their own variables. */
  readonly environment: NodeJS.ProcessEnv;
  /** Aborted, with a reason, when the run belongs to somebody else: workers are killed, not asked to save. */
  readonly abandoned?: AbortSignal;
}

export interface AgentEdges {
  readonly log: Logger;
  readonly terminal: Terminal;
  /** Calls back for every signal that the process receives; returns how to stop listening. */
  readonly onSignal: (listener: (signal: NodeJS.Signals) => void) => () => void;
}

export interface AgentResult {
  readonly exitCode: number;
  readonly reason: string;
}

/**
 * Joins the launch and works until it is over.
 * @throws SlipError `rendezvous` when the coordinator cannot be reached, or the coordinator's reason for a refusal
 */
export async function runAgent(options: AgentOptions, edges: AgentEdges): Promise<AgentResult> {
  const agent = new Agent(options, edges);
  // The last resort when this process leaves in a way that nobody foresaw.
  const killAll = (): void => agent.killGroups();
  process.on('exit', killAll);
  const unsubscribe = edges.onSignal((signal) => agent.onSignal(signal));
  try {
    return await agent.run();
  } finally {
    unsubscribe();
    agent.killGroups();
    agent.close();
    process.off('exit', killAll);
  }
}

interface LocalWorker {
  readonly rank: number;
  readonly process: WorkerProcess;
}

class Agent {
  private readonly options: AgentOptions;
  private readonly edges: AgentEdges;
  private readonly link: CoordinatorLink;
  private readonly leaveJoin = new AbortController();
  private readonly over: Promise<AgentResult>;
  private resolveOver: (result: AgentResult) => void = () => undefined;
  private generation = -1;
  private numStarts = 0;
  private workers: readonly LocalWorker[] = [];
  /** Largest generation that is not to be started (any more). */
  private abortedGeneration = -1;
  private signals: NodeJS.Signals[] = [];
  private bar: ProgressBar | undefined;
  /** When the workers were started. */
  private memoryKillsBefore: number | undefined;

  constructor(options: AgentOptions, edges: AgentEdges) {
    this.options = options;
    this.edges = edges;
    this.link = new CoordinatorLink(options.coordinator);
    this.over = new Promise((resolve) => {
      this.resolveOver = resolve;
    });
  }

  async run(): Promise<AgentResult> {
    const { hello, joinTimeoutMs } = this.options;
    await this.link.join(hello, joinTimeoutMs, this.leaveJoin.signal, {
      onMessage: (message) => this.onMessage(message),
      heartbeat: (everyMs) => this.heartbeat(everyMs),
      onLost: (silentMs) => {
        const reason = `the coordinator (agent of node 0, ${this.options.coordinator}) has been silent for`;
        this.leave({ exitCode: LOST.exitCode, reason: `${reason} ${Math.round(silentMs / 1000)} s` });
      },
    });
    const { abandoned } = this.options;
    abandoned?.addEventListener('abort', () => {
      this.killGroups();
      this.leave({ exitCode: LOST.exitCode, reason: String(abandoned.reason) });
    });
    const result = await this.over;
    await this.endWorkers();
    return result;
  }

  /** First a request to stop, then, at a second SIGINT, the end at once. */
  onSignal(signal: NodeJS.Signals): void {
    const force = signal === 'SIGINT' && this.signals.includes('SIGINT');
    this.signals = [...this.signals, signal];
    if (force) this.killGroups();
    else if (this.link.launchId === '') this.leaveJoin.abort();
    this.link.send({ kind: 'stopRequest', nodeRank: this.options.hello.nodeRank, signal, force });
    if (force) this.leave({ exitCode: 130, reason: 'killed by a second SIGINT' });
  }

  killGroups(): void {
    for (const { process } of this.workers) process.killGroup();
  }

  close(): void {
    this.bar?.close();
    this.link.close();
  }

  private leave(result: AgentResult): void {
    // A start that is still under way must not bring up workers behind our back.
    this.abortedGeneration = Number.POSITIVE_INFINITY;
    this.resolveOver(result);
  }

  private heartbeat(everyMs: number): Heartbeat {
    const workers = this.workers.flatMap(({ rank, process }) => {
      const silenceMs = process.silenceMs(everyMs);
      return silenceMs === undefined ? [] : { rank, step: process.step, silenceMs };
    });
    return { nodeRank: this.options.hello.nodeRank, generation: Math.max(0, this.generation), workers };
  }

  private onMessage(message: ControlMessage): void {
    switch (message.kind) {
      case 'startGeneration':
        // Reported through the workers' exits: a worker that cannot be started is a worker that failed.
        void this.startGeneration(message);
        return;
      case 'abort':
        this.abortedGeneration = Math.max(this.abortedGeneration, message.generation);
        if (message.generation === this.generation) void this.endWorkers();
        return;
      case 'forwardSignal':
        if (message.generation === this.generation && Object.hasOwn(os.constants.signals, message.signal))
          for (const { process } of this.workers) process.forward(message.signal as NodeJS.Signals);
        return;
      case 'shutdown':
        this.leave({ exitCode: message.exitCode, reason: message.reason });
        return;
      default:
        // Answers to heartbeats, and what is meant for workers.
        return;
    }
  }

  private async startGeneration(start: StartGeneration): Promise<void> {
    const { hello, nprocPerNode } = { ...this.options, nprocPerNode: this.options.hello.nprocPerNode };
    const assignment = start.nodes.find((node) => node.nodeRank === hello.nodeRank);
    if (assignment === undefined || start.generation <= this.generation) return;
    this.generation = start.generation;
    const ranks = Array.from({ length: nprocPerNode }, (_, localRank) => assignment.firstRank + localRank);
    try {
      if (this.numStarts++ === 0) await this.options.beforeStart?.();
      const folders = await this.prepareFolders(start.attempt);
      // An abort may have overtaken the making of folders.
      if (start.generation <= this.abortedGeneration) throw new SlipError('stopped', 'ended before it began');
      this.memoryKillsBefore = countMemoryKills();
      this.workers = ranks.map((rank, localRank) => ({
        rank,
        process: this.startWorker({ start, rank, localRank, host: assignment.host, ...folders }),
      }));
      for (const { rank, process } of this.workers)
        void process.exited.then((exit) => this.reportExit({ start, rank, exit, process, ...folders }));
    } catch (thrown) {
      const error = SlipError.from(thrown);
      if (error.code !== 'stopped') this.edges.log.error(error.toString());
      for (const rank of ranks) this.reportNotStarted(start, rank, error);
    }
  }

  private async prepareFolders(attempt: number): Promise<Folders> {
    const attemptFolder = this.options.attemptFolder(attempt);
    const errors = path.join(attemptFolder, 'errors');
    const logs = this.options.logFolder?.(attempt) ?? path.join(attemptFolder, 'logs');
    for (const folder of [errors, logs])
      await mkdir(folder, { recursive: true }).catch((error) => {
        throw new SlipError('data', `cannot create the folder ${folder}: ${error.message}`, { cause: error });
      });
    return { attemptFolder, errors, logs };
  }

  private startWorker(place: Folders & { start: StartGeneration; rank: number; localRank: number; host: string }) {
    const { options, edges } = this;
    const { start, rank, localRank } = place;
    const share = options.shares?.[localRank] ?? {};
    const variables = {
      rank,
      localRank,
      nodeRank: options.hello.nodeRank,
      numNodes: options.hello.numNodes,
      nprocPerNode: options.hello.nprocPerNode,
      role: options.role,
      runId: options.hello.runId,
      launchId: this.link.launchId,
      generation: start.generation,
      maxRestarts: options.maxRestarts,
      masterAddress: start.masterAddress,
      masterPort: start.masterPort,
      coordinator: options.coordinator,
      configFile: options.configFile,
      attemptFolder: place.attemptFolder,
      errorFile: rankFile(place.errors, rank, 'json'),
      host: place.host,
      agentPid: process.pid,
      heartbeatFd: HEARTBEAT_FD,
      ...share,
    };
    const route = routeStreams(options.logRouting, rank, localRank);
    const drawsBar =
      rank === 0 && route.stderrToTerminal && (edges.terminal.stderr as { isTTY?: boolean }).isTTY === true;
    return new WorkerProcess({
      executable: options.workerExecutable,
      ...(share.cpus === undefined ? {} : { cpus: share.cpus }),
      environment: workerEnvironment(variables, options.environment),
      logFile: rankFile(place.logs, rank, 'log'),
      route,
      ...(drawsBar ? { onProgress: (share: number, text: string) => this.showProgress(share, text) } : {}),
      linePrefix: `[${options.role}${rank}]:`,
      terminal: edges.terminal,
    });
  }

  private showProgress(share: number, text: string): void {
    this.bar ??= new ProgressBar(this.edges.terminal);
    this.bar.show(share, text);
  }

  private async reportExit(
    of: Folders & { start: StartGeneration; rank: number; exit: WorkerExit; process: WorkerProcess },
  ) {
    const { start, rank, exit } = of;
    if (rank === 0) this.bar?.close();
    if (rank === 0) this.bar = undefined;
    const logPath = rankFile(of.logs, rank, 'log');
    const error = await this.accountOf(exit, of.process.wasEnded, rankFile(of.errors, rank, 'json'), logPath);
    const message: WorkerExited = {
      generation: start.generation,
      rank,
      host: this.options.hello.host,
      ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
      ...(exit.signal === undefined ? {} : { signal: exit.signal }),
      killedByAgent: of.process.wasEnded,
      timeMs: exit.timeMs,
      logPath,
      logTail: await readLogTail(logPath).catch(() => []),
      step: of.process.step,
      ...(error === undefined ? {} : { error }),
    };
    this.link.send({ kind: 'workerExited', ...message });
  }

  /** The worker's own account of its failure, or the nearest thing to it. */
  private async accountOf(
    exit: WorkerExit,
    wasEnded: boolean,
    errorFile: string,
    logPath: string,
  ): Promise<WorkerError | undefined> {
    const { exitCode, signal, spawnError, timeMs } = exit;
    if (spawnError !== undefined)
      return { code: 'rendezvous', message: `cannot start the worker: ${spawnError}`, step: 0, timeMs };
    const own = await readErrorFile(errorFile);
    if (own === undefined && signal === 'SIGKILL' && !wasEnded && this.hasRunOutOfMemory())
      return { code: 'worker-failed', message: MEMORY_KILL, step: 0, timeMs };
    if (own !== undefined || (exitCode !== 1 && signal !== 'SIGABRT')) return own;
    const message = await readUncaughtError(logPath).catch(() => undefined);
    return message === undefined ? undefined : { code: 'internal', message: clipText(message), step: 0, timeMs };
  }

  private hasRunOutOfMemory(): boolean {
    const kills = countMemoryKills();
    return kills !== undefined && this.memoryKillsBefore !== undefined && kills > this.memoryKillsBefore;
  }

  private reportNotStarted(start: StartGeneration, rank: number, error: SlipError): void {
    const { host } = this.options.hello;
    const common = { generation: start.generation, rank, host, timeMs: Date.now(), logPath: '', logTail: [], step: 0 };
    const wasStopped = error.code === 'stopped';
    this.link.send({
      kind: 'workerExited',
      ...common,
      killedByAgent: wasStopped,
      ...(wasStopped ? {} : { error: { code: error.code, message: error.message, step: 0, timeMs: common.timeMs } }),
    });
  }

  private async endWorkers(): Promise<void> {
    await Promise.all(this.workers.map(({ process }) => process.end(this.options.killGraceMs)));
  }
}

const LOST = new SlipError('peer-lost', 'coordinator');

interface Folders {
  readonly attemptFolder: string;
  readonly errors: string;
  readonly logs: string;
}

function rankFile(folder: string, rank: number, ending: string): string {
  invariant(rank >= 0, `rank ${rank}`);
  return path.join(folder, `rank-${String(rank).padStart(5, '0')}.${ending}`);
}

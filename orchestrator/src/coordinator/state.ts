// What the coordinator knows and what it can ask for: data only, no behaviour.
import type { ErrorCode } from '@slip/core';
import type { ControlMessage, Outcome } from '@slip/protocol';

export interface CoordinatorOptions {
  /** Agents that name another run are turned away. */
  runId: string;
  launchId: string;
  /** Hash of agent 0's resolved configuration. */
  configHash: string;
  numNodes: number;
  nprocPerNode: number;
  maxRestarts: number;
  /** How long the first agent waits for the last one. */
  joinTimeoutMs: number;
  /** How long a started worker may take until its first message. */
  startTimeoutMs: number;
  heartbeatIntervalMs: number;
  /** Silence after which an agent, or for an agent the coordinator, counts as lost. */
  agentTimeoutMs: number;
  /** Silence after which a worker counts as lost (its agent sees an exit at once; this is for frozen processes). */
  workerTimeoutMs: number;
  /** Intended time between two tick events. */
  tickMs: number;
}

export interface NodeState {
  readonly nodeRank: number;
  /** ZeroMQ routing id of the agent, as hex. */
  readonly peer: string;
  readonly host: string;
  readonly pid: number;
  readonly silenceMs: number;
}

export interface WorkerState {
  readonly rank: number;
  readonly peer?: string;
  readonly endpoint?: string;
  readonly step: number;
  /** As its agent counts it. */
  readonly silenceMs: number;
  /** What the worker said before leaving. */
  readonly finished?: Outcome;
  /** Set once the process is gone. */
  readonly exit?: 'clean' | 'stopped' | 'failed' | 'killed';
  readonly failure?: FailureRecord;
}

/** One worker's failure, with what is known about it. */
export interface FailureRecord {
  readonly rank: number;
  readonly nodeRank: number;
  readonly host: string;
  readonly step: number;
  readonly code: ErrorCode;
  readonly message: string;
  /** Milliseconds since 1970; the smallest is the first failure. */
  readonly timeMs: number;
  readonly exitCode?: number;
  readonly signal?: string;
  readonly logPath?: string;
  readonly logTail: readonly string[];
}

/**
 * - gathering: waiting for agents
 * - starting: agents start workers; ends when every worker has given its endpoint
 * - running: the peer table is out
 * - stopping: Abort is out; ends when every worker is gone
 * - ended: nothing more will be decided
 */
export type Phase = 'gathering' | 'starting' | 'running' | 'stopping' | 'ended';

export interface CoordinatorState {
  readonly options: CoordinatorOptions;
  readonly phase: Phase;
  readonly phaseSinceMs: number;
  readonly lastTickMs: number;
  /** By node rank; undefined has not come yet. */
  readonly nodes: readonly (NodeState | undefined)[];
  readonly generation: number;
  /** By rank. */
  readonly workers: readonly WorkerState[];
  readonly stopRequested?: { readonly signal: string; readonly inPhase: Phase };
  /** How the launch has ended, for those who come too late to have been told. */
  readonly ending?: { readonly exitCode: number; readonly reason: string };
  /** Largest step any generation of this launch reported. */
  readonly bestStep: number;
  /** Failures in a row during which `bestStep` did not grow. */
  readonly numFailuresWithoutProgress: number;
}

export type CoordinatorEvent =
  | { readonly type: 'message'; readonly peer: string; readonly message: ControlMessage }
  | { readonly type: 'tick' };

export interface FailureReport {
  readonly root: FailureRecord;
  /** Other ranks that failed as well, mostly in consequence. */
  readonly numOthers: number;
  /** What happens now, as a sentence. */
  readonly next: string;
}

export type CoordinatorAction =
  | { readonly type: 'send'; readonly peer: string; readonly message: ControlMessage }
  /** Claim an attempt folder and send StartGeneration to all agents. */
  | { readonly type: 'start'; readonly generation: number; readonly cause?: FailureRecord }
  | { readonly type: 'report'; readonly report: FailureReport }
  | { readonly type: 'notice'; readonly text: string }
  /** The launch is over; Shutdown has been sent. */
  | {
      readonly type: 'end';
      readonly exitCode: number;
      readonly event: 'finished' | 'stopped' | 'failed';
      readonly reason: string;
      readonly cause?: FailureRecord;
    };

export interface Decision {
  readonly state: CoordinatorState;
  readonly actions: readonly CoordinatorAction[];
  /** Why, in a few words; for the log, when it changes. */
  readonly reason: string;
}

export function initialState(options: CoordinatorOptions, nowMs: number): CoordinatorState {
  return {
    options,
    phase: 'gathering',
    phaseSinceMs: nowMs,
    lastTickMs: nowMs,
    nodes: Array.from({ length: options.numNodes }, () => undefined),
    generation: 0,
    workers: freshWorkers(options),
    bestStep: 0,
    numFailuresWithoutProgress: 0,
  };
}

export function freshWorkers(options: CoordinatorOptions): WorkerState[] {
  return Array.from({ length: options.numNodes * options.nprocPerNode }, (_, rank) => ({
    rank,
    step: 0,
    silenceMs: 0,
  }));
}

// The control-plane messages as TypeScript types: the same fields as in proto/slip/v1/control.proto, nothing more.
import type { ErrorCode } from '@slip/core';

/** How a worker's work can end without a failure. */
export type Outcome = 'completed' | 'stopped';

export interface AgentHello {
  runId: string;
  nodeRank: number;
  numNodes: number;
  nprocPerNode: number;
  /** Address at which other nodes reach this one. */
  host: string;
  pid: number;
  configHash: string;
}

/** A worker's own account of its failure. */
export interface WorkerError {
  code: ErrorCode;
  message: string;
  /** Applied optimizer steps when it happened. */
  step: number;
  /** Milliseconds since 1970 on the worker's host. */
  timeMs: number;
}

export interface WorkerExited {
  generation: number;
  rank: number;
  host: string;
  exitCode?: number;
  signal?: string;
  /** The agent ended it because of an Abort or Shutdown. */
  killedByAgent: boolean;
  timeMs: number;
  logPath: string;
  /** Last lines of the log, oldest first. */
  logTail: string[];
  /** The last one its agent heard of. */
  step: number;
  error?: WorkerError;
}

export interface StopRequest {
  nodeRank: number;
  signal: string;
  force: boolean;
}

export interface WorkerHello {
  generation: number;
  rank: number;
  host: string;
  pid: number;
  runId: string;
}

export interface WorkerJoin {
  generation: number;
  rank: number;
  /** The worker's endpoint for the data plane; opaque here. */
  endpoint: string;
}

export interface Failure {
  generation: number;
  rank: number;
  host: string;
  error: WorkerError;
}

export interface Finished {
  generation: number;
  rank: number;
  outcome: Outcome;
}

/** Of an agent and all of its workers that have begun to beat. */
export interface Heartbeat {
  nodeRank: number;
  generation: number;
  workers: WorkerBeat[];
}

export interface WorkerBeat {
  rank: number;
  /** Applied optimizer steps. */
  step: number;
  /** Since the worker was last heard of. */
  silenceMs: number;
}

export interface Welcome {
  launchId: string;
  heartbeatIntervalMs: number;
  coordinatorTimeoutMs: number;
}

export interface Reject {
  code: ErrorCode;
  reason: string;
}

export interface NodeAssignment {
  nodeRank: number;
  host: string;
  firstRank: number;
  numRanks: number;
}

export interface StartGeneration {
  generation: number;
  attempt: number;
  nodes: NodeAssignment[];
  masterAddress: string;
  masterPort: number;
}

export interface PeerTable {
  generation: number;
  /** In rank order. */
  endpoints: string[];
}

export interface Abort {
  generation: number;
  reason: string;
}

export interface ForwardSignal {
  generation: number;
  signal: string;
}

export interface Shutdown {
  exitCode: number;
  reason: string;
}

export interface MessageBodies {
  agentHello: AgentHello;
  workerExited: WorkerExited;
  stopRequest: StopRequest;
  workerHello: WorkerHello;
  workerJoin: WorkerJoin;
  failure: Failure;
  finished: Finished;
  heartbeat: Heartbeat;
  welcome: Welcome;
  reject: Reject;
  startGeneration: StartGeneration;
  peerTable: PeerTable;
  abort: Abort;
  forwardSignal: ForwardSignal;
  shutdown: Shutdown;
  ack: Record<never, never>;
}

export type MessageKind = keyof MessageBodies;

/** Any control-plane message, told apart by `kind`. */
export type ControlMessage = { [K in MessageKind]: { kind: K } & MessageBodies[K] }[MessageKind];
